"""FledgeKernelInfo: a kernel that boots images."""

FledgeKernelInfo = provider(
    doc = "A Linux kernel with its modules.",
    fields = {
        "bzimage": "File: the kernel in the form QEMU's -kernel takes, or None",
        "modules": "depset of File: all of lib/modules/RELEASE, empty for a kernel that has everything built in",
        "modules_root": "File: modules.builtin, which lies at the root of lib/modules/RELEASE, or None without modules",
        "vmlinux": "File: the uncompressed ELF kernel, or None",
    },
)
