"""The init of Fledge's initramfs, built for the guest, and the kernel modules that it loads."""

load(":kernel_info.bzl", "FledgeKernelInfo")

INIT_ATTRS = {
    "_init": attr.label(
        default = Label("//tools/bin:init"),
        allow_single_file = True,
    ),
}

def _dirname(file):
    return file.dirname

def kernel_args(ctx, args):
    """Adds --kernel-modules and --kernel-config when the attribute kernel is set.

    Args:
      ctx: context of a rule with the attribute kernel, a FledgeKernelInfo.
      args: the Args to add to.

    Returns:
      depset of File: the modules and the configuration.
    """
    if not ctx.attr.kernel:
        return depset()
    kernel = ctx.attr.kernel[FledgeKernelInfo]
    if kernel.modules_root:
        args.add_all([kernel.modules_root], before_each = "--kernel-modules", map_each = _dirname)
    if not kernel.config:
        return kernel.modules
    args.add("--kernel-config", kernel.config)
    return depset([kernel.config], transitive = [kernel.modules])
