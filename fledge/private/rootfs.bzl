"""The fledge_rootfs macro and its rule."""

load(":compression.bzl", "COMPRESSION_ATTRS", "WRITABLE_FILESYSTEMS", "compression_args", "compressor")
load(":dockerfile.bzl", "image_or_dockerfile")
load(":filled.bzl", "FILLED", "FILL_ATTRS", "FILL_EXEC_GROUPS", "FILL_KERNEL", "fill")
load(":guest.bzl", "guest_arch")
load(":image_info.bzl", "FledgeImageInfo")
load(":init.bzl", "INIT_ATTRS", "kernel_args")
load(":kernel_info.bzl", "FledgeKernelInfo")
load(":manifest.bzl", "MANIFEST_ATTRS", "write_manifest")
load(":mappings.bzl", "MAPPING_ATTRS", "pack_mappings", "pack_mappings_of")
load(":packs.bzl", "PACKER_ATTR", "PACKER_REQUIREMENTS", "packs_aspect", "packs_of")
load(":sbom.bzl", "SBOM_ATTRS", "SBOM_TOOL", "add_image", "add_mappings", "add_materials", "add_part", "common_parameters", "label_or_none", "new_parts", "sbom_groups")

_AGENT_PATH = "/bin/kestrel"

# Attribute -> file systems that it is of.
_ATTRIBUTES_OF = {
    "fill_kernel": FILLED.keys(),
    "journal": ["ext4"],
    "mkfs": FILLED.keys(),
    "preallocate": WRITABLE_FILESYSTEMS,
    "size_buffer_mb": WRITABLE_FILESYSTEMS,
    "verity": ["erofs", "squashfs"],
}

def _check_attributes(ctx):
    """Fails for what the file system does not have."""
    filesystem = ctx.attr.filesystem
    for name, choices in _ATTRIBUTES_OF.items():
        if getattr(ctx.attr, name) and filesystem not in choices:
            fail("{}: {} is of {}, and filesystem = {}; leave it out".format(
                ctx.label,
                name,
                ", ".join(choices),
                repr(filesystem),
            ))
    if ctx.attr.verity_root_hash == "cmdline" and not ctx.attr.verity:
        fail("{}: verity_root_hash says where the root hash of verity = True is; leave it out".format(ctx.label))
    if ctx.attr.size_buffer_mb < 0:
        fail("{}: size_buffer_mb = {}: give 0 or more".format(ctx.label, ctx.attr.size_buffer_mb))

def _writable_args(ctx, args):
    """Adds what is asked of a file system that the guest writes to."""
    if ctx.attr.size_buffer_mb:
        args.add("--size-buffer-mb", ctx.attr.size_buffer_mb)
    if ctx.attr.journal:
        args.add("--journal")
    if ctx.attr.preallocate:
        args.add("--preallocate")

def _link(ctx, packs):
    """Registers the actions that make the image of packs.

    Args:
      ctx: of the rule.
      packs: list of File.

    Returns:
      struct of File: image, digest and verity, which is None unless asked for.
    """
    image = ctx.actions.declare_file(ctx.label.name + ".img")
    digest = ctx.actions.declare_file(ctx.label.name + ".img.sha256")
    if ctx.attr.filesystem in FILLED:
        source = ctx.actions.declare_file(ctx.label.name + ".source.ext4")
        _link_packs(ctx, packs, source)
        fill(ctx, source, image, digest)
        return struct(image = image, digest = digest, verity = None)
    return struct(image = image, digest = digest, verity = _link_packs(ctx, packs, image, digest))

def _link_packs(ctx, packs, image, digest = None):
    """Registers the action that links packs into an image, or into the ext4 image that others are filled from.

    Args:
      ctx: of the rule.
      packs: list of File.
      image: File to make.
      digest: File to make, with its digest; None makes none.

    Returns:
      File: the parameters of the hash tree, or None.
    """
    args = ctx.actions.args()
    args.add("rootfs")
    args.add_all(packs, before_each = "--pack", expand_directories = False)
    compression_args(ctx, args)
    outputs = [image]
    if digest:
        args.add("--filesystem", ctx.attr.filesystem)
        _writable_args(ctx, args)
        args.add("--digest-out", digest)
        outputs.append(digest)
    else:
        args.add("--filesystem", "ext4")
        args.add("--size-buffer-mb", 1)
    verity = None
    if ctx.attr.verity:
        verity = ctx.actions.declare_file(ctx.label.name + ".verity.json")
        outputs.append(verity)
        args.add("--verity-out", verity)
    args.add("--require", _AGENT_PATH)
    args.add("--out", image)
    ctx.actions.run(
        mnemonic = "FledgeLink",
        progress_message = "Linking %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = packs,
        outputs = outputs,
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return verity

def _boot_initramfs(ctx, verity):
    out = ctx.actions.declare_file(ctx.label.name + ".initramfs.cpio.gz")
    digest = ctx.actions.declare_file(ctx.label.name + ".initramfs.cpio.gz.sha256")
    args = ctx.actions.args()
    args.add("boot-initramfs")
    args.add("--init", ctx.file._init)
    args.add("--filesystem", ctx.attr.filesystem)
    args.add("--compression", compressor(ctx))
    args.add("--overlay-size", ctx.attr.overlay_size)
    inputs = [ctx.file._init]
    if ctx.attr.verity and ctx.attr.verity_root_hash == "cmdline":
        args.add("--verity-cmdline")
    elif ctx.attr.verity:
        args.add("--verity", verity)
        inputs.append(verity)
    kernel = kernel_args(args, ctx.attr.kernel[FledgeKernelInfo] if ctx.attr.kernel else None)
    args.add("--out", out)
    args.add("--digest-out", digest)
    ctx.actions.run(
        mnemonic = "FledgeBootInitramfs",
        progress_message = "Making %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = depset(inputs, transitive = [kernel]),
        outputs = [out, digest],
    )
    return out, digest

def _parts(ctx):
    """Lists what the image and its boot initramfs are made of."""
    parts = new_parts(ctx)
    add_image(ctx, parts, ctx.attr.image)
    if ctx.attr.agent:
        add_mappings(ctx, parts, "agent", {ctx.attr.agent: _AGENT_PATH})
    add_mappings(ctx, parts, "mapping", ctx.attr.mappings)
    add_part(parts, "init", ctx.attr._init.label, ctx.file._init)
    add_materials(ctx, parts, kernels = [ctx.attr.kernel, ctx.attr.fill_kernel], files = [ctx.file.mkfs])
    return parts

def _parameters(ctx):
    """What was asked for, of the attributes that the image depends on."""
    return common_parameters(ctx) | {
        "block_size": ctx.attr.block_size,
        "fill_kernel": label_or_none(ctx.attr.fill_kernel),
        "filesystem": ctx.attr.filesystem,
        "journal": ctx.attr.journal,
        "mkfs": label_or_none(ctx.attr.mkfs),
        "overlay_size": ctx.attr.overlay_size,
        "preallocate": ctx.attr.preallocate,
        "rule": "fledge_rootfs",
        "size_buffer_mb": ctx.attr.size_buffer_mb,
        "verity": ctx.attr.verity,
        "verity_root_hash": ctx.attr.verity_root_hash,
    }

def _fledge_rootfs_impl(ctx):
    _check_attributes(ctx)
    packs, config = [], None
    if ctx.attr.image:
        info = packs_of(ctx, ctx.attr.image)
        packs, config = list(info.packs), info.config
    if ctx.attr.agent:
        packs.append(pack_mappings(ctx, "agent", {ctx.attr.agent: _AGENT_PATH}))
    packs.extend(pack_mappings_of(ctx))
    if not packs:
        fail("{}: nothing to put into the image: give image, agent or mappings".format(ctx.label))

    linked = _link(ctx, packs)
    rootfs, rootfs_digest = linked.image, linked.digest
    initramfs, initramfs_digest = _boot_initramfs(ctx, linked.verity)
    manifest = write_manifest(
        ctx,
        config = config,
        rootfs = rootfs,
        rootfs_digest = rootfs_digest,
        rootfs_verity = linked.verity,
        initramfs = initramfs,
        initramfs_digest = initramfs_digest,
    )
    groups = sbom_groups(
        ctx,
        parts = _parts,
        parameters = _parameters,
        image = rootfs,
        digest = rootfs_digest,
        manifest = manifest,
        boot = initramfs,
        boot_digest = initramfs_digest,
    )
    return [
        DefaultInfo(files = depset([rootfs, initramfs, manifest])),
        OutputGroupInfo(
            digests = depset([rootfs_digest, initramfs_digest]),
            initramfs = depset([initramfs]),
            manifest = depset([manifest]),
            packs = depset(packs),
            rootfs = depset([rootfs]),
            verity = depset([linked.verity] if linked.verity else []),
            **groups
        ),
        FledgeImageInfo(
            arch = guest_arch(ctx),
            filesystem = ctx.attr.filesystem,
            rootfs = rootfs,
            rootfs_digest = rootfs_digest,
            initramfs = initramfs,
            initramfs_digest = initramfs_digest,
            manifest = manifest,
        ),
    ]

_rootfs = rule(
    implementation = _fledge_rootfs_impl,
    doc = "What the macro fledge_rootfs declares.",
    attrs = COMPRESSION_ATTRS | FILL_ATTRS | PACKER_ATTR | INIT_ATTRS | MANIFEST_ATTRS | MAPPING_ATTRS | SBOM_ATTRS | {
        "agent": attr.label(allow_files = True),
        "image": attr.label(allow_files = True, aspects = [packs_aspect]),
        "journal": attr.bool(),
        "kernel": attr.label(providers = [FledgeKernelInfo]),
        "overlay_size": attr.string(default = "1G"),
        "preallocate": attr.bool(),
        "size_buffer_mb": attr.int(),
        "verity": attr.bool(),
        "verity_root_hash": attr.string(default = "initramfs", values = ["cmdline", "initramfs"]),
    },
    provides = [FledgeImageInfo],
    exec_groups = FILL_EXEC_GROUPS,
)

def fledge_rootfs(
        name,
        manifest,
        image = None,
        dockerfile = None,
        context = [],
        base_images = {},
        base = None,
        target = "",
        build_args = {},
        agent = None,
        mappings = {},
        modes = {},
        kernel = None,
        filesystem = "squashfs",
        overlay_size = "1G",
        compression = "",
        compression_level = 0,
        block_size = "128K",
        size_buffer_mb = 0,
        preallocate = False,
        journal = False,
        mkfs = None,
        fill_kernel = None,
        verity = False,
        verity_root_hash = "initramfs",
        compat = "",
        **kwargs):
    """Builds a bootable root file system from an OCI image and files of your own.

    ```starlark
    fledge_rootfs(
        name = "web",
        image = "@nginx",
        manifest = "manifest.toml",
        agent = "//:kestrel",
        compression_level = 15,
        overlay_size = "1G",
        mappings = {":site": "/usr/share/nginx/html"},
    )
    ```

    Makes `NAME.img` (a file system, the machine's first virtio disk), `NAME.initramfs.cpio.gz` (mounts it, squashfs and EROFS
    below a writable overlay, and starts the agent) and `NAME.manifest.json`. Each layer of the image is packed by an action of its own, the
    mappings and the agent are packed as further layers, and the image is linked from the packs: a change in one of them
    packs that one and links.

    An image without an executable `/bin/kestrel`, the agent, does not boot, so the build fails and says so.

    | output group | files |
    |---|---|
    | default | `NAME.img`, `NAME.initramfs.cpio.gz`, `NAME.manifest.json` |
    | `rootfs`, `initramfs`, `manifest` | one of these |
    | `digests` | `NAME.img.sha256`, `NAME.initramfs.cpio.gz.sha256`: `sha256:HEX` and a newline |
    | `verity` | `NAME.verity.json`, with `verity`: root hash, salt and place of the hash tree |
    | `packs` | the layer packs, base layer first; of a layout or tar, a directory of them |
    | `sbom` | `NAME.spdx.json`, what the image holds; with `--@fledge//fledge/settings:sbom`, see docs/sbom.md |
    | `provenance` | `NAME.provenance.json`, how it was built; with the same flag |

    | action (mnemonic) | what it makes |
    |---|---|
    | `FledgePack` | the pack of one layer |
    | `FledgePackLayout` | the packs of all layers of a layout or tar |
    | `FledgePackFiles` | the pack of the agent, and that of the mappings |
    | `FledgeLink` | `NAME.img` from the packs; for xfs and btrfs an ext4 image |
    | `FledgeGuestInitramfs`, `FledgeFill` | the machine that fills xfs and btrfs; `NAME.img` from the ext4 image |
    | `FledgeBootInitramfs` | `NAME.initramfs.cpio.gz` |
    | `FledgeManifest` | `NAME.manifest.json`; it reads the digests, not the images |
    | `FledgeSbom`, `FledgeProvenance` | `NAME.spdx.json`, `NAME.provenance.json`; they read the layers and the digests |

    Args:
      name: of the target.
      manifest: the manifest.toml, which says how the image runs: docs/manifest.md lists its fields.
      image: the image: a target of the `fledge.image` extension, `fledge_dockerfile`, `fledge_layers`, `fledge_layout`, an OCI
        layout directory (as rules_oci and rules_img make; or all files of one), or an OCI or docker-save tar. Of several
        images in a layout or tar the one for the target platform's CPU is taken, linux/amd64 or linux/arm64. The image's
        config fills what manifest.toml leaves out. Without an image the root file system has the agent and the mappings
        alone.
      dockerfile: a Dockerfile, a label, instead of an image. This and the five arguments below are those of fledge_dockerfile;
        for more of them declare one and give it as `image`.
      context: files of its build context.
      base_images: what its `FROM` may name.
      base: which of them the image is built upon; `""` for none.
      target: the stage to build.
      build_args: values of its `ARG`.
      agent: the agent, put at `/bin/kestrel`: a file, or a rule that makes one. Leave it out when the image or a mapping
        brings it.
      mappings: files of your own: label to absolute path in the image.

        - A single file goes to that path, or into it when it ends with `/`.
        - A directory's contents go below it.
        - Several files go below it, under their paths relative to `PACKAGE/NAME/` of the label, else to its package. Of a
          rule with an executable and other files, the executable alone goes.

        Mode 0755 for a rule's executable, for what lies below `bin` and `sbin` of `/`, `/usr`, `/usr/local` and `/opt`, and
        for shared objects (`.so`, `.so.1`) below `lib` and `lib64` of `/`, `/usr` and `/usr/local`; else 0644. Owner root,
        time 1970. A path below a symlink of the image lands where the guest would see it. A path that is relative or has
        `..`, or two labels for one path, is an error.
      modes: modes of mapped files that differ from that: absolute path of the file in the image to octal mode, for example
        `{"/etc/app/key": "0600"}`. A path that no mapping fills is an error.
      kernel: the kernel that will boot the image, a `fledge_kernel`. The modules it needs for that (virtio, the
        file system, overlay) are bundled into the initramfs. Without it none are: the kernel must have all of it built in.
        With its `config` the build fails when the kernel lacks what the image needs.
      filesystem: of the image: `squashfs`, `erofs`, `ext4`, `xfs` or `btrfs`, without a `select`. The first two are compressed and read-only, and
        the guest writes to the overlay's memory; to the others it writes itself. docs/filesystems.md compares them.
      overlay_size: size of the tmpfs that takes the guest's writes, where the image is not written to itself: a whole number with `K`, `M`, `G` or `T` (powers of 1024),
        or with `%` of the machine's memory, up to `100%`. `overlay_size=` on the kernel command line overrides it.
      compression: compressor of the image. Of squashfs `zstd` (the default), `gzip`, `xz`, `lz4` or `none`; the driver of the
        kernel that boots it must have it (`CONFIG_SQUASHFS_ZSTD` and so on). Of EROFS `lz4` (the default) or `none`. The others
        hold files as they are.
      compression_level: 1 to 22 for `zstd`, 1 to 9 for `gzip`; 0 is the default (15 and 9). `xz`, `lz4` and `none` have no
        levels, and any but 0 is an error. docs/compression.md lists what each costs and gains.
      block_size: size of a squashfs data block, a power of two from `4K` to `1M`. Larger blocks compress better and make small
        random reads slower.
      size_buffer_mb: free space of a writable file system in MiB; 0 is a quarter of the content, at least 64 and at most 1024.
      preallocate: writes the zeros of that free space, where the image's file would have holes. The bytes are the same.
      journal: makes ext4 with a journal, of the size that mke2fs gives it. xfs and btrfs need none of this: they have their own.
      mkfs: the `mkfs.xfs` or `mkfs.btrfs` that makes the empty file system of such an image, a program as one file. Default:
        that of the machine, which `FLEDGE_MKFS_XFS` or `FLEDGE_MKFS_BTRFS` names or which is on `PATH` or in `/usr/sbin`; its
        version and its bytes are in the key of the cache. Where it is not installed (Debian's packages are xfsprogs and
        btrfs-progs), wildcard builds skip the image, and Bazel says so when it is asked for.
      fill_kernel: the kernel of the virtual machine that fills an xfs or btrfs image, a `fledge_kernel` with ext4 and that
        file system. Default: the one that `FLEDGE_KERNEL_BZIMAGE` names.
      verity: appends a dm-verity hash tree to a squashfs or EROFS image. The initramfs then reads all of the disk against the
        root hash before it mounts, and does not boot from one where a byte differs. docs/verity.md.
      verity_root_hash: where the initramfs has the root hash from: `initramfs`, baked in, or `cmdline`, the parameter
        `roothash=` of the kernel command line, so that one initramfs serves several images.
      compat: `volant-0.7` writes the narrower manifest that the runtime's 0.7 release reads; the default, empty, is the full
        form.
      **kwargs: what every rule has, such as `visibility` and `tags`.
    """
    if filesystem in FILLED:
        mkfs, fill_kernel = mkfs or FILLED[filesystem], fill_kernel or FILL_KERNEL
    _rootfs(
        name = name,
        agent = agent,
        block_size = block_size,
        compat = compat,
        compression = compression,
        compression_level = compression_level,
        filesystem = filesystem,
        fill_kernel = fill_kernel,
        image = image_or_dockerfile(name, image, dockerfile, context, base_images, base, target, build_args, kwargs),
        journal = journal,
        kernel = kernel,
        manifest = manifest,
        mappings = mappings,
        mkfs = mkfs,
        modes = modes,
        overlay_size = overlay_size,
        preallocate = preallocate,
        sbom_tool = SBOM_TOOL,
        size_buffer_mb = size_buffer_mb,
        verity = verity,
        verity_root_hash = verity_root_hash,
        **kwargs
    )
