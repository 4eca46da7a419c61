"""FledgeImageInfo: a bootable microVM image."""

FledgeImageInfo = provider(
    doc = "A bootable microVM image: what `fledge_rootfs` and `fledge_initramfs` make and `fledge_boot_test` boots.",
    fields = {
        "arch": "string: the guest's architecture, `amd64` or `arm64`; the target platform says which",
        "filesystem": "string: that of the `rootfs`, `squashfs`, `erofs`, `ext4`, `xfs` or `btrfs`; \"\" without one",
        "initramfs": "File: the initramfs, a compressed cpio archive: beside a `rootfs` the small one that mounts " +
                     "it, else the whole system",
        "initramfs_digest": "File: the initramfs's `sha256:HEX` and a newline",
        "manifest": "File: manifest.json, which names the other files and their digests",
        "rootfs": "File: the file system image, the machine's first virtio disk, or None",
        "rootfs_digest": "File: the root file system's `sha256:HEX` and a newline, or None",
    },
)
