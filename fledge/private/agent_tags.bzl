"""The tag class `agent` of the module extension, and the repositories that it makes."""

load(":program_repo.bzl", "front_repo")
load(":programs.bzl", "ARCHITECTURES", "alias_build", "declare_program", "sha256_error", "unavailable_build")

_NAME = "kestrel"  # of the file too: it becomes /bin/kestrel
_REPOSITORY = "https://github.com/volantvm/volant"

# Releases call the amd64 binary by its bare name; one for another architecture needs a name beside it.
_ASSETS = {
    "amd64": "kestrel",
    "arm64": "kestrel-arm64",
}
_COMMAND = "bazel run @fledge//tools/agentfetch -- "

NO_AGENT = """no agent is declared. Declare the newest release in MODULE.bazel with
    {}--version latest
or give the attribute `agent` a label of your own; see docs/agent.md.""".format(_COMMAND)

agent_tag = tag_class(
    doc = """Fetches the agent (Kestrel), pinned by checksum: from a release, or from any URL.

```starlark
fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
fledge.agent(
    name = "kestrel",
    sha256 = {
        "amd64": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "arm64": "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
    },
    version = "v0.7.3",
)
use_repo(fledge, "kestrel")
```

`bazel run @fledge//tools/agentfetch -- --version latest` writes these lines, and brings them up to date later.
`@kestrel` is the agent for the target platform, an executable file named `kestrel`, for the attribute `agent` of the
rules. The first one that the root module declares is also `@fledge_agent//:agent`, the default agent of initramfs
images. Only the architecture that a build uses is fetched, and nothing before a build uses it.

Bazel modules that declare the same agent under one name share it; the root module's declaration of a name counts
for all of them. An agent that the workspace builds or has needs no tag: give the attribute `agent` its label. See
docs/agent.md.
""",
    attrs = {
        "assets": attr.string_dict(
            default = _ASSETS,
            doc = "Architecture to the name of the release's file, where it differs from the default.",
        ),
        "name": attr.string(
            default = _NAME,
            doc = "The name of the repository and of the target in it.",
        ),
        "repository": attr.string(
            default = _REPOSITORY,
            doc = "The GitHub repository that `version` is a release of, as a URL; that of a fork, or on a server of " +
                  "your own. Files come from `REPOSITORY/releases/download/VERSION/ASSET`.",
        ),
        "sha256": attr.string_dict(
            doc = "Architecture (`amd64`, `arm64`) to the SHA-256 of its file, 64 lower case hexadecimal digits. A " +
                  "build for one that is not here fails and says how to pin it.",
        ),
        "url": attr.string(
            doc = "Where the file is, instead of in a release. `{arch}` in it stands for the architecture; without, " +
                  "the file is for the one that `sha256` names.",
        ),
        "version": attr.string(
            doc = "The tag of the release. `latest` is no version: builds with it fail and say how to pin today's.",
        ),
    },
)

def _command(name, arguments):
    return _COMMAND + ("" if name == _NAME else "--name {} ".format(name)) + arguments

def _tag_error(tag):
    """What is wrong with a tag, whatever the architecture; None when nothing is."""
    if tag.version and tag.url:
        return "it has a version and a url; keep one"
    if not tag.version and not tag.url:
        return "it has neither version nor url. Pin the newest release with\n    " + (
            _command(tag.name, "--version latest")
        )
    if tag.version == "latest":
        return "version \"latest\" moves, and builds take what a checksum pins. Pin today's with\n    " + (
            _command(tag.name, "--version latest")
        )
    for what, given in [("sha256", tag.sha256), ("assets", tag.assets)]:
        for arch in given:
            if arch not in ARCHITECTURES:
                return "{} has the key {}; architectures are {}".format(
                    what,
                    repr(arch),
                    " and ".join(ARCHITECTURES.keys()),
                )
    if tag.url and len(tag.sha256) > 1 and "{arch}" not in tag.url:
        return "url has no {arch} in it, so it is one file, and sha256 names several; keep one of them"
    return None

def _no_sha256(tag, arch):
    if tag.url:
        return "{} has no sha256 for {}. Pin it with\n    {}".format(
            tag.url,
            arch,
            _command(tag.name, "--url '{}' --arch {}".format(tag.url, arch)),
        )
    return "{} has no sha256 for {}. Pin this release, or the newest, with\n    {}\n    {}".format(
        tag.version,
        arch,
        _command(tag.name, "--version " + tag.version),
        _command(tag.name, "--version latest"),
    ) + ("" if arch == "amd64" else "\nwhich takes {} where the release has it; `assets` names it otherwise.".format(
        (_ASSETS | tag.assets)[arch],
    ))

def plan_agent(tag):
    """Works out what to fetch for an agent.

    Whatever is wrong is told to the build that uses the agent: agentfetch, which puts it right, has to run before.

    Args:
      tag: of the class `agent`, or a struct with the same fields.

    Returns:
      Two dicts from architecture: to a struct of url, sha256 and advice, and to a message. Each architecture is in one.
    """
    downloads, missing = {}, {}
    for arch in ARCHITECTURES:
        sha256 = tag.sha256.get(arch, "")
        error = _tag_error(tag) or (_no_sha256(tag, arch) if not sha256 else sha256_error(sha256))
        if error:
            missing[arch] = "fledge.agent {}: {}".format(repr(tag.name), error)
            continue
        if tag.url:
            url = tag.url.replace("{arch}", arch)
            again = "--url '{}'".format(tag.url)
        else:
            asset = (_ASSETS | tag.assets)[arch]
            url = "{}/releases/download/{}/{}".format(tag.repository.removesuffix("/"), tag.version, asset)
            again = "--version " + tag.version
        advice = "once you know why it changed, `{}` pins the new one".format(_command(tag.name, again))
        downloads[arch] = struct(url = url, sha256 = sha256, advice = advice)
    return downloads, missing

def _attrs(tag):
    return dict(
        assets = _ASSETS | tag.assets,
        repository = tag.repository,
        sha256 = tag.sha256,
        url = tag.url,
        version = tag.version,
    )

def choose_agents(modules):
    """Chooses the declaration that counts for each name.

    Args:
      modules: list of structs of name, is_root and tags (list), the root module first as Bazel gives them.

    Returns:
      dict from name to tag.
    """
    chosen = {}  # name -> (module, tag)
    for module in modules:
        for tag in module.tags:
            other, known = chosen.get(tag.name, (module, tag))
            if _attrs(known) != _attrs(tag):
                if other.is_root and not module.is_root:
                    continue
                if other.name == module.name:
                    fail("fledge.agent {}: declared twice, differently; rename one".format(repr(tag.name)))
                fail("fledge.agent {}: modules {} and {} declare it differently; declare it in the root module".format(
                    repr(tag.name),
                    other.name,
                    module.name,
                ))
            chosen[tag.name] = (other, known)
    return {name: tag for name, (_, tag) in chosen.items()}

def declare_agents(module_ctx):
    """Makes the repositories of all `agent` tags, and `fledge_agent`, which stands for the root module's first one.

    Args:
      module_ctx: the module extension's context.

    Returns:
      A struct of `deps` and `dev_deps`, lists of string: what the root module is to name in use_repo.
    """
    modules = [
        struct(name = module.name, is_root = module.is_root, tags = module.tags.agent)
        for module in module_ctx.modules
    ]
    for name, tag in choose_agents(modules).items():
        downloads, missing = plan_agent(tag)
        declare_program(
            name = name,
            target = name,
            file = _NAME,
            declaration = "fledge.agent {}".format(repr(name)),
            downloads = downloads,
            missing = missing,
        )
    deps, dev_deps = [], []
    build = unavailable_build("agent", NO_AGENT)
    for module in module_ctx.modules:
        if module.is_root:
            if module.tags.agent:
                build = alias_build("agent", "@{0}//:{0}".format(module.tags.agent[0].name))
            for tag in module.tags.agent:
                (dev_deps if module_ctx.is_dev_dependency(tag) else deps).append(tag.name)
            if module.name == "fledge":
                deps.append("fledge_agent")  # rules have it as their default
    front_repo(name = "fledge_agent", build = build)
    return struct(deps = deps, dev_deps = dev_deps)
