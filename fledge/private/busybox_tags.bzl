"""The tag class `busybox` of the module extension, and the repository that it makes."""

load(":programs.bzl", "ARCHITECTURES", "declare_program", "sha256_error")

_NAME = "busybox"
_DEFAULT = {
    "amd64": struct(
        sha256 = "6e123e7f3202a8c1e9b1f94d8941580a25135382b99e8d3e34fb858bba311348",
        url = "https://busybox.net/downloads/binaries/1.35.0-x86_64-linux-musl/busybox",
    ),
}

busybox_tag = tag_class(
    doc = """Replaces the busybox of initramfs images, pinned by checksum.

```starlark
fledge.busybox(
    sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    url = "https://example.com/busybox-1.36.1",
)
```

Without the tag it is busybox 1.35.0, static with musl, from busybox.net, for amd64; for arm64 there is none. The
tags of the root module count, one an architecture. It has to be a static binary that has the applets the image needs,
and is fetched when a build uses it.
""",
    attrs = {
        "arch": attr.string(
            default = "amd64",
            doc = "The architecture that it is for.",
            values = ARCHITECTURES.keys(),
        ),
        "sha256": attr.string(
            mandatory = True,
            doc = "Its SHA-256: 64 lower case hexadecimal digits.",
        ),
        "url": attr.string(
            mandatory = True,
            doc = "Where it is.",
        ),
    },
)

def _no_busybox(arch):
    return """there is no busybox for {arch} by default. Declare one in MODULE.bazel,
    fledge.busybox(arch = "{arch}", sha256 = "…", url = "…")
or give the attribute `busybox` a label of your own, or None to go without.""".format(arch = arch)

def plan_busybox(tags):
    """Works out what to fetch for busybox.

    Args:
      tags: list of `busybox` tags, those of the root module, or of structs with the same fields.

    Returns:
      Two dicts from architecture: to a struct of url, sha256 and advice, and to a message. Each architecture is in one.
    """
    chosen = {}
    for tag in tags:
        binary = struct(sha256 = tag.sha256, url = tag.url)
        if chosen.get(tag.arch, binary) != binary:
            fail("fledge.busybox: two tags for {}; keep one".format(tag.arch))
        chosen[tag.arch] = binary
    downloads, missing = {}, {}
    for arch in ARCHITECTURES:
        binary = chosen.get(arch) or _DEFAULT.get(arch)
        error = sha256_error(binary.sha256) if binary else None
        if error:
            missing[arch] = "fledge.busybox: {}: {}".format(binary.url, error)
        elif binary:
            advice = "fledge.busybox takes another url and sha256"
            downloads[arch] = struct(url = binary.url, sha256 = binary.sha256, advice = advice)
        else:
            missing[arch] = _no_busybox(arch)
    return downloads, missing

def declare_busybox(module_ctx):
    """Makes the repository `fledge_busybox`.

    Args:
      module_ctx: the module extension's context.

    Returns:
      list of string: what the root module is to name in use_repo.
    """
    tags, deps = [], []
    for module in module_ctx.modules:
        if module.is_root:
            tags = module.tags.busybox
            if module.name == "fledge":
                deps.append("fledge_busybox")  # rules have it as their default
    downloads, missing = plan_busybox(tags)
    declare_program(
        name = "fledge_busybox",
        target = _NAME,
        file = _NAME,
        declaration = "fledge.busybox",
        downloads = downloads,
        missing = missing,
    )
    return deps
