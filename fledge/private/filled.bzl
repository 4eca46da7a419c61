"""File systems that their own mkfs makes and a virtual machine fills: xfs and btrfs."""

load(":guest.bzl", "guest_arch")
load(":init.bzl", "kernel_args")
load(":kernel_info.bzl", "FledgeKernelInfo")
load(":machine.bzl", "MACHINE_ATTRS", "MACHINE_EXEC_GROUPS", "MACHINE_GROUP", "machine_args")

# File system -> the mkfs that the machine has.
FILLED = {
    "btrfs": Label("@fledge_mkfs//:mkfs.btrfs"),
    "xfs": Label("@fledge_mkfs//:mkfs.xfs"),
}

# The kernel of the machine, where no other is given.
FILL_KERNEL = Label("@fledge_kernel")

# The macro fledge_rootfs says what these are, and sets those that other file systems do not need.
FILL_ATTRS = MACHINE_ATTRS | {
    "fill_kernel": attr.label(providers = [FledgeKernelInfo]),
    "mkfs": attr.label(allow_single_file = True, cfg = config.exec(MACHINE_GROUP)),
    "_fill_program": attr.label(default = Label("//tools/bin:fill"), allow_single_file = True),
    "_filler": attr.label(default = Label("//tools/bin:filler"), executable = True, cfg = config.exec(MACHINE_GROUP)),
}

FILL_EXEC_GROUPS = MACHINE_EXEC_GROUPS

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
      ctx: context of a rule with FILL_ATTRS, FILL_EXEC_GROUPS and PACKER_ATTR.
      source: File, an ext4 image of the same tree.
      image: File to make.
      digest: File to make, with the image's digest.
    """
    kernel = ctx.attr.fill_kernel[FledgeKernelInfo]
    if not kernel.bzimage and not kernel.vmlinux:
        fail("{}: fill_kernel: {} has neither bzimage nor vmlinux".format(ctx.label, ctx.attr.fill_kernel.label))
    initramfs = _initramfs(ctx, kernel)
    args = ctx.actions.args()
    args.add("--filesystem", ctx.attr.filesystem)
    args.add("--mkfs", ctx.file.mkfs)
    args.add("--source", source)
    args.add("--arch", guest_arch(ctx))
    machine = machine_args(ctx, args, kernel, initramfs)
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
        inputs = depset(
            [source, ctx.file.mkfs],
            transitive = [machine, ctx.attr.mkfs[DefaultInfo].default_runfiles.files],
        ),
        outputs = [image, digest],
        exec_group = MACHINE_GROUP,
        execution_requirements = {"block-network": "1"},
        resource_set = _resources,
    )

def _resources(_os, _inputs):
    return {"cpu": 1, "memory": 768}  # what the machine has, and the monitor
