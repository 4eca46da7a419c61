"""FledgeImageInfo: a bootable microVM image."""

FledgeImageInfo = provider(
    doc = "A bootable microVM image: what fledge_rootfs makes and fledge_boot_test boots.",
    fields = {
        "initramfs": "File: the initramfs (for a rootfs: the small one that mounts it)",
        "initramfs_digest": "File: `sha256:HEX` and a newline",
        "manifest": "File: manifest.json",
        "rootfs": "File: the file system image, the machine's first virtio disk, or None",
        "rootfs_digest": "File: `sha256:HEX` and a newline, or None",
    },
)
