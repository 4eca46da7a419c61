"""The machine that an action runs: the flags about kernel and monitor, which the tools for machines share."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")

_MONITORS = [
    (Label("//fledge/toolchains:qemu_toolchain_type"), "--qemu"),
    (Label("//fledge/toolchains:cloud_hypervisor_toolchain_type"), "--cloud-hypervisor"),
]

MACHINE_ATTRS = {
    "_vmm": attr.label(default = Label("//fledge/settings:vmm")),
}

# The execution group of actions that run a machine, so that users can send these alone to workers with KVM.
MACHINE_GROUP = "vm"

MACHINE_EXEC_GROUPS = {
    MACHINE_GROUP: exec_group(
        toolchains = [config_common.toolchain_type(type, mandatory = False) for type, _ in _MONITORS],
    ),
}

def machine_args(ctx, args, kernel, initramfs):
    """Adds --kernel, --vmlinux, --initramfs, --vmm, --qemu and --cloud-hypervisor, as far as there is what they name.

    Args:
      ctx: context of a rule with MACHINE_ATTRS and MACHINE_EXEC_GROUPS.
      args: the Args to add to.
      kernel: FledgeKernelInfo.
      initramfs: File.

    Returns:
      depset of File: what the machine needs.
    """
    files = [initramfs]
    if kernel.bzimage:
        args.add("--kernel", kernel.bzimage)
        files.append(kernel.bzimage)
    if kernel.vmlinux:
        args.add("--vmlinux", kernel.vmlinux)
        files.append(kernel.vmlinux)
    args.add("--initramfs", initramfs)
    args.add("--vmm", ctx.attr._vmm[BuildSettingInfo].value)
    programs = []
    for type, flag in _MONITORS:
        toolchain = ctx.exec_groups[MACHINE_GROUP].toolchains[type]
        if toolchain:
            program = toolchain.program
            args.add(flag, program.file if program.file else program.path)
            programs.append(program.files)
    return depset(files, transitive = programs)
