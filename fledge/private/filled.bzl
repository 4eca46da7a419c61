"""File systems that their own mkfs makes and a virtual machine fills: xfs and btrfs."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":guest.bzl", "guest_arch")
load(":init.bzl", "kernel_args")
load(":kernel_info.bzl", "FledgeKernelInfo")

_QEMU_TOOLCHAIN = Label("//fledge/toolchains:qemu_toolchain_type")
_CLOUD_HYPERVISOR_TOOLCHAIN = Label("//fledge/toolchains:cloud_hypervisor_toolchain_type")

# File system -> the mkfs that the machine has.
FILLED = {
    "btrfs": Label("@fledge_mkfs//:mkfs.btrfs"),
    "xfs": Label("@fledge_mkfs//:mkfs.xfs"),
}

# The kernel of the machine, where no other is given.
FILL_KERNEL = Label("@fledge_kernel")

# The macro fledge_rootfs says what these are, and sets those that other file systems do not need.
FILL_ATTRS = {
    "fill_kernel": attr.label(providers = [FledgeKernelInfo]),
    "mkfs": attr.label(allow_single_file = True, cfg = "exec"),
    "_fill_program": attr.label(default = Label("//tools/bin:fill"), allow_single_file = True),
    "_filler": attr.label(default = Label("//tools/bin:filler"), executable = True, cfg = "exec"),
    "_vmm": attr.label(default = Label("//fledge/settings:vmm")),
}

FILL_TOOLCHAINS = [
    config_common.toolchain_type(_QEMU_TOOLCHAIN, mandatory = False),
    config_common.toolchain_type(_CLOUD_HYPERVISOR_TOOLCHAIN, mandatory = False),
]

def _initramfs(ctx, kernel):
    """Registers the action that makes the machine's initramfs."""
    out = ctx.actions.declare_file(ctx.label.name + ".fill.initramfs.cpio.gz")
    args = ctx.actions.args()
    args.add("guest-initramfs")
    args.add("--for", ctx.attr.filesystem)
    args.add("--guest", ctx.file._fill_program)
    kernel_files = kernel_args(args, kernel)
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgeGuestInitramfs",
        progress_message = "Making %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = depset([ctx.file._fill_program], transitive = [kernel_files]),
        outputs = [out],
    )
    return out

def fill(ctx, source, image, digest):
    """Registers the actions that make an image of xfs or btrfs.

    Args:
      ctx: context of a rule with FILL_ATTRS, FILL_TOOLCHAINS and PACKER_ATTR.
      source: File, an ext4 image of the same tree.
      image: File to make.
      digest: File to make, with the image's digest.
    """
    kernel = ctx.attr.fill_kernel[FledgeKernelInfo]
    if not kernel.bzimage and not kernel.vmlinux:
        fail("{}: fill_kernel: {} has neither bzimage nor vmlinux".format(ctx.label, ctx.attr.fill_kernel.label))
    initramfs = _initramfs(ctx, kernel)
    inputs, transitive = [source, initramfs, ctx.file.mkfs], [ctx.attr.mkfs[DefaultInfo].default_runfiles.files]
    args = ctx.actions.args()
    args.add("--filesystem", ctx.attr.filesystem)
    args.add("--mkfs", ctx.file.mkfs)
    args.add("--source", source)
    args.add("--arch", guest_arch(ctx))
    for flag, file in [("--kernel", kernel.bzimage), ("--vmlinux", kernel.vmlinux)]:
        if file:
            args.add(flag, file)
            inputs.append(file)
    args.add("--initramfs", initramfs)
    args.add("--vmm", ctx.attr._vmm[BuildSettingInfo].value)
    for type, flag in [(_QEMU_TOOLCHAIN, "--qemu"), (_CLOUD_HYPERVISOR_TOOLCHAIN, "--cloud-hypervisor")]:
        toolchain = ctx.toolchains[type]
        if toolchain:
            program = toolchain.program
            args.add(flag, program.file if program.file else program.path)
            transitive.append(program.files)
    args.add("--size-buffer-mb", ctx.attr.size_buffer_mb)
    if ctx.attr.preallocate:
        args.add("--preallocate")
    args.add("--out", image)
    args.add("--digest-out", digest)
    ctx.actions.run(
        mnemonic = "FledgeFill",
        progress_message = "Filling %{output}",
        executable = ctx.executable._filler,
        arguments = [args],
        inputs = depset(inputs, transitive = transitive),
        outputs = [image, digest],
        execution_requirements = {"block-network": "1"},
    )
