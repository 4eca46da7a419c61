"""The repository of the kernels that the environment names."""

_DEFAULT_FOLDER = "/var/lib/volant/kernel/"

_BUILD = """load("@fledge//fledge:defs.bzl", "fledge_kernel")

alias(
    name = "{name}",
    actual = select({{
        "@platforms//cpu:aarch64": ":{name}_arm64",
        "//conditions:default": ":{name}_amd64",
    }}),
    visibility = ["//visibility:public"],
)
"""

_KERNEL = """
fledge_kernel(
    name = "{name}_{arch}",{attrs}
)
"""

# An incompatible target is skipped by wildcards and names its reason, the constraint, when asked for by name.
_MISSING = """
    bzimage = "BUILD.bazel",
    target_compatible_with = ["@fledge//fledge/constraints:{missing}"],"""

def _locate(ctx, variable, default):
    """Path of the file or folder that variable names, else of the default where it exists, else None."""
    value = ctx.getenv(variable)
    if value:
        path = ctx.path(value)
        if not path.exists:
            fail("{}={}: no such file or folder".format(variable, value))
        return path
    path = ctx.path(default) if default else None
    return path if path and path.exists else None

def _kernel(ctx, arch, image, vmlinux, modules, config, missing):
    """Gives the target of one kernel, of the paths that were located.

    Args:
      ctx: of the repository rule.
      arch: the guest's architecture, which names target and folder.
      image: path of the kernel that QEMU boots, or None.
      vmlinux: path of the ELF kernel, or None.
      modules: path of its lib/modules/RELEASE, or None.
      config: path of its configuration, or None.
      missing: the constraint that says what to set when there is no kernel.

    Returns:
      string: the target, for a BUILD file.
    """
    attrs = ""
    if image:
        ctx.symlink(image, arch + "/kernel")
        attrs += '\n    bzimage = "{}/kernel",'.format(arch)
    if vmlinux:
        ctx.symlink(vmlinux, arch + "/vmlinux")
        attrs += '\n    vmlinux = "{}/vmlinux",'.format(arch)
    if config:
        ctx.symlink(config, arch + "/config")
        attrs += '\n    config = "{}/config",'.format(arch)
    if modules:
        ctx.symlink(modules, arch + "/modules")
        attrs += '\n    modules = glob(["{0}/modules/modules.*", "{0}/modules/kernel/**"]),'.format(arch)
    if not image and not vmlinux:
        attrs = _MISSING.format(missing = missing)
    return _KERNEL.format(arch = arch, attrs = attrs, name = ctx.attr.target)

def _host_kernel_impl(ctx):
    amd64 = _kernel(
        ctx,
        "amd64",
        image = _locate(ctx, "FLEDGE_KERNEL_BZIMAGE", _DEFAULT_FOLDER + "bzImage"),
        vmlinux = _locate(ctx, "FLEDGE_KERNEL_VMLINUX", _DEFAULT_FOLDER + "vmlinux"),
        modules = _locate(ctx, "FLEDGE_KERNEL_MODULES", None),
        config = _locate(ctx, "FLEDGE_KERNEL_CONFIG", None),
        missing = "set_FLEDGE_KERNEL_BZIMAGE_or_use_bazelw",
    )
    arm64 = _kernel(
        ctx,
        "arm64",
        image = _locate(ctx, "FLEDGE_KERNEL_ARM64", None),
        vmlinux = None,
        modules = _locate(ctx, "FLEDGE_KERNEL_ARM64_MODULES", None),
        config = _locate(ctx, "FLEDGE_KERNEL_ARM64_CONFIG", None),
        missing = "set_FLEDGE_KERNEL_ARM64_or_use_bazelw_with_FLEDGE_SETUP_ARM64_1",
    )
    ctx.file("BUILD.bazel", _BUILD.format(name = ctx.attr.target) + amd64 + arm64)

host_kernel = repository_rule(
    implementation = _host_kernel_impl,
    doc = """Makes a `fledge_kernel` of what the environment names, for the target platform's CPU.

For x86_64, `FLEDGE_KERNEL_BZIMAGE` and `FLEDGE_KERNEL_VMLINUX` are files (defaults: `bzImage` and `vmlinux` in
/var/lib/volant/kernel), `FLEDGE_KERNEL_MODULES` is the folder `lib/modules/RELEASE` of the same kernel and
`FLEDGE_KERNEL_CONFIG` its configuration (no defaults). For aarch64 it is the file `FLEDGE_KERNEL_ARM64` with the folder
`FLEDGE_KERNEL_ARM64_MODULES` and the file `FLEDGE_KERNEL_ARM64_CONFIG`. Without a kernel the target is incompatible:
wildcard builds skip what depends on it.
""",
    attrs = {
        "target": attr.string(
            doc = "Name of the target: the repository's apparent name, so that the label `@NAME` works.",
            mandatory = True,
        ),
    },
    local = True,
)
