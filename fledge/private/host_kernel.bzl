"""The repository of the kernel that the environment names."""

_DEFAULT_FOLDER = "/var/lib/volant/kernel/"

_BUILD = """load("@fledge//fledge:defs.bzl", "fledge_kernel")

fledge_kernel(
    name = "{name}",{attrs}
    visibility = ["//visibility:public"],
)
"""

# An incompatible target is skipped by wildcards and names its reason, the constraint, when asked for by name.
_MISSING = """
    bzimage = "BUILD.bazel",
    target_compatible_with = ["@fledge//fledge/constraints:set_FLEDGE_KERNEL_BZIMAGE_or_use_bazelw"],"""

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

def _host_kernel_impl(ctx):
    bzimage = _locate(ctx, "FLEDGE_KERNEL_BZIMAGE", _DEFAULT_FOLDER + "bzImage")
    vmlinux = _locate(ctx, "FLEDGE_KERNEL_VMLINUX", _DEFAULT_FOLDER + "vmlinux")
    modules = _locate(ctx, "FLEDGE_KERNEL_MODULES", None)
    attrs = ""
    if bzimage:
        ctx.symlink(bzimage, "bzImage")
        attrs += '\n    bzimage = "bzImage",'
    if vmlinux:
        ctx.symlink(vmlinux, "vmlinux")
        attrs += '\n    vmlinux = "vmlinux",'
    if modules:
        ctx.symlink(modules, "modules")
        attrs += '\n    modules = glob(["modules/modules.*", "modules/kernel/**"]),'
    if not bzimage and not vmlinux:
        attrs = _MISSING
    ctx.file("BUILD.bazel", _BUILD.format(attrs = attrs, name = ctx.attr.target))

host_kernel = repository_rule(
    implementation = _host_kernel_impl,
    doc = """Makes a `fledge_kernel` of what the environment names.

`FLEDGE_KERNEL_BZIMAGE` and `FLEDGE_KERNEL_VMLINUX` are files (defaults: `bzImage` and `vmlinux` in /var/lib/volant/kernel),
`FLEDGE_KERNEL_MODULES` is the folder `lib/modules/RELEASE` of the same kernel (no default). Without a kernel the target
is incompatible: wildcard builds skip what depends on it.
""",
    attrs = {
        "target": attr.string(
            doc = "Name of the target: the repository's apparent name, so that the label `@NAME` works.",
            mandatory = True,
        ),
    },
    local = True,
)
