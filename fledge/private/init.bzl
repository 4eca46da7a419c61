"""The init of Fledge's initramfs, built for the guest, and the kernel modules that it loads."""

load(":kernel_info.bzl", "FledgeKernelInfo")

def _guest_transition_impl(settings, attr):  # buildifier: disable=unused-variable
    return {
        "//command_line_option:compilation_mode": "opt",
        "@rules_go//go/config:pure": True,
    }

# The guest's programs are part of the image, whose bytes must not follow -c, nor a host's C compiler.
_guest_transition = transition(
    implementation = _guest_transition_impl,
    inputs = [],
    outputs = [
        "//command_line_option:compilation_mode",
        "@rules_go//go/config:pure",
    ],
)

INIT_ATTRS = {
    "_init": attr.label(
        default = Label("//tools/init"),
        allow_single_file = True,
        cfg = _guest_transition,
    ),
}

def _dirname(file):
    return file.dirname

def kernel_modules_args(ctx, args):
    """Adds --kernel-modules when the attribute kernel is set.

    Args:
      ctx: context of a rule with the attribute kernel, a FledgeKernelInfo.
      args: the Args to add to.

    Returns:
      depset of File: the modules.
    """
    if not ctx.attr.kernel:
        return depset()
    kernel = ctx.attr.kernel[FledgeKernelInfo]
    if kernel.modules_root:
        args.add_all([kernel.modules_root], before_each = "--kernel-modules", map_each = _dirname)
    return kernel.modules
