"""Writing NAME.manifest.json."""

load(":guest.bzl", "guest_arch")
load(":packs.bzl", "PACKER_REQUIREMENTS")

# The macros that declare the rules say what these are.
MANIFEST_ATTRS = {
    "compat": attr.string(values = ["", "volant-0.7"]),
    "manifest": attr.label(allow_single_file = [".toml"], mandatory = True),
}

def write_manifest(ctx, config, initramfs, initramfs_digest, rootfs = None, rootfs_digest = None, rootfs_verity = None, unpacked = None):
    """Registers the action that writes NAME.manifest.json.

    It reads the digest files, never the artifacts.

    Args:
      ctx: context of a rule with MANIFEST_ATTRS, PACKER_ATTR and GUEST_ATTR.
      config: File with the image's OCI config, or None.
      initramfs: File.
      initramfs_digest: File.
      rootfs: File, or None.
      rootfs_digest: File, or None.
      rootfs_verity: File with the parameters of its hash tree, or None.
      unpacked: File with the bytes of memory that the initramfs takes unpacked, or None when it is a small one.

    Returns:
      File: the manifest.
    """
    out = ctx.actions.declare_file(ctx.label.name + ".manifest.json")
    args = ctx.actions.args()
    args.add("manifest")
    args.add("--toml", ctx.file.manifest)
    inputs = [ctx.file.manifest]
    if config:
        args.add("--image-config", config)
        args.add("--arch", guest_arch(ctx))
        inputs.append(config)
    if rootfs:
        args.add("--rootfs", rootfs.basename)
        args.add("--rootfs-format", ctx.attr.filesystem)
        args.add("--rootfs-digest", rootfs_digest)
        inputs.append(rootfs_digest)
    if rootfs_verity:
        args.add("--rootfs-verity", rootfs_verity)
        inputs.append(rootfs_verity)
    args.add("--initramfs", initramfs.basename)
    args.add("--initramfs-digest", initramfs_digest)
    inputs.append(initramfs_digest)
    if unpacked:
        args.add("--initramfs-unpacked", unpacked)
        inputs.append(unpacked)
    args.add("--compat", ctx.attr.compat)
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgeManifest",
        progress_message = "Writing %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = inputs,
        outputs = [out],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return out
