"""The init of Fledge's initramfs, built for the guest, and the kernel modules that it loads."""

INIT_ATTRS = {
    "_init": attr.label(
        default = Label("//tools/bin:init"),
        allow_single_file = True,
    ),
}

def _dirname(file):
    return file.dirname

def kernel_args(args, kernel):
    """Adds --kernel-modules and --kernel-config.

    Args:
      args: the Args to add to.
      kernel: FledgeKernelInfo, or None.

    Returns:
      depset of File: the modules and the configuration.
    """
    if not kernel:
        return depset()
    if kernel.modules_root:
        args.add_all([kernel.modules_root], before_each = "--kernel-modules", map_each = _dirname)
    if not kernel.config:
        return kernel.modules
    args.add("--kernel-config", kernel.config)
    return depset([kernel.config], transitive = [kernel.modules])
