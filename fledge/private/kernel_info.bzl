"""FledgeKernelInfo: a kernel that boots images."""

FledgeKernelInfo = provider(
    doc = "A Linux kernel with its modules: what `fledge_kernel` declares.",
    fields = {
        "bzimage": "File: the kernel in the form that QEMU's `-kernel` takes, or None",
        "config": "File: the kernel's configuration, `.config` or `/proc/config.gz`, or None",
        "modules": "depset of File: all of `lib/modules/RELEASE`, empty for a kernel that has everything built in",
        "modules_root": "File: `modules.builtin`, at the root of `lib/modules/RELEASE`, or None without modules",
        "vmlinux": "File: the uncompressed ELF kernel, or None",
    },
)
