"""The tag class `kernel` of the module extension, and the repositories of what the machine has."""

load(":host_buildkit.bzl", "host_buildkit")
load(":host_kernel.bzl", "host_kernel")
load(":host_mkfs.bzl", "host_mkfs")
load(":host_qemu.bzl", "host_qemu")

kernel_tag = tag_class(
    doc = """Makes a `fledge_kernel` of the kernel that the environment names.

```starlark
fledge.kernel(name = "kernel")
use_repo(fledge, "kernel")
```

`@kernel` is made of the files `FLEDGE_KERNEL_BZIMAGE` and `FLEDGE_KERNEL_VMLINUX` (defaults: `bzImage` and `vmlinux` in
`/var/lib/volant/kernel`), of the folder `FLEDGE_KERNEL_MODULES` (`lib/modules/RELEASE` of that kernel; none by default)
and of the file `FLEDGE_KERNEL_CONFIG` (its configuration; none by default); in a build for arm64, of the file
`FLEDGE_KERNEL_ARM64`, the folder `FLEDGE_KERNEL_ARM64_MODULES` and the file `FLEDGE_KERNEL_ARM64_CONFIG`, without
defaults. The variables are those of the environment that Bazel runs in, or of `--repo_env=VARIABLE=PATH`. A path that
does not exist is an error. Where there is no kernel, wildcard builds skip what depends on it. Bazel modules that choose
the same name share it.
""",
    attrs = {
        "name": attr.string(
            mandatory = True,
            doc = "The name of the repository and of the target in it, so that `@NAME` is the kernel.",
        ),
    },
)

def declare_host(module_ctx):
    """Makes the repositories of kernels, of the machine's QEMU and of what solves Dockerfiles.

    Args:
      module_ctx: of the extension, with the tag class `kernel`.

    Returns:
      struct with deps and dev_deps, the repositories that the root module asked for.
    """
    host_buildkit(name = "fledge_buildkit")
    host_mkfs(name = "fledge_mkfs")
    host_qemu(name = "fledge_qemu")
    host_kernel(name = "fledge_kernel", target = "fledge_kernel")
    deps, dev_deps, names = [], [], {}
    for module in module_ctx.modules:
        # Fledge registers the toolchains itself.
        if module.is_root and module.name == "fledge":
            deps += ["fledge_buildkit", "fledge_kernel", "fledge_mkfs", "fledge_qemu"]
        for tag in module.tags.kernel:
            # All modules mean the same kernel, whatever their number.
            if tag.name not in names:
                host_kernel(name = tag.name, target = tag.name)
                names[tag.name] = True
            if module.is_root:
                (dev_deps if module_ctx.is_dev_dependency(tag) else deps).append(tag.name)
    return struct(deps = deps, dev_deps = dev_deps)
