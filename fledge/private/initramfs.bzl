"""The fledge_initramfs macro and its rule."""

load(":compression.bzl", "INITRAMFS_COMPRESSION_ATTRS", "compression_args")
load(":dockerfile.bzl", "image_or_dockerfile")
load(":guest.bzl", "guest_arch")
load(":image_info.bzl", "FledgeImageInfo")
load(":init.bzl", "INIT_ATTRS", "kernel_args")
load(":kernel_info.bzl", "FledgeKernelInfo")
load(":machine.bzl", "MACHINE_GROUP")
load(":manifest.bzl", "MANIFEST_ATTRS", "write_manifest")
load(":mappings.bzl", "MAPPING_ATTRS", "check_path", "pack_mappings", "pack_mappings_of")
load(":packs.bzl", "PACKER_ATTR", "PACKER_REQUIREMENTS", "initramfs_packs_aspect", "packs_of")
load(":sbom.bzl", "SBOM_ATTRS", "SBOM_TOOL", "add_image", "add_mappings", "add_materials", "add_part", "common_parameters", "label_or_none", "new_parts", "sbom_groups")

_AGENT_PATH = "/bin/kestrel"

# Where the file of init = "//a:label" goes.
_CUSTOM_INIT_PATH = "/sbin/init"
_BUSYBOX_PATH = "/bin/busybox"

_EXTENSIONS = {
    "gzip": ".cpio.gz",
    "lz4": ".cpio.lz4",
    "none": ".cpio",
    "xz": ".cpio.xz",
    "zstd": ".cpio.zst",
}

def _pack(ctx, command, mnemonic, what, args, inputs):
    """Registers an action that makes one pack with flags of its own."""
    out = ctx.actions.declare_file("{}.{}.pack".format(ctx.label.name, what))
    flags = ctx.actions.args()
    flags.add(command)
    compression_args(ctx, flags)
    flags.add("--out", out)
    ctx.actions.run(
        mnemonic = mnemonic,
        progress_message = "Packing {} of %{{label}}".format(what),
        executable = ctx.executable._packer,
        arguments = [flags, args],
        inputs = inputs,
        outputs = [out],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return out

def _pack_busybox(ctx):
    args = ctx.actions.args()
    args.add("--busybox", ctx.file.busybox)
    return _pack(ctx, "pack-busybox", "FledgePackBusybox", "busybox", args, [ctx.file.busybox])

def _pack_init(ctx, path):
    args = ctx.actions.args()
    args.add("--init", ctx.file._init)
    args.add("--exec", path)
    kernel = kernel_args(args, ctx.attr.kernel[FledgeKernelInfo] if ctx.attr.kernel else None)
    return _pack(ctx, "pack-init", "FledgePackInit", "init", args, depset([ctx.file._init], transitive = [kernel]))

def _layers_of_init(ctx):
    """The packs of what runs first, and the program that must be there."""
    init = ctx.attr.init_path
    if init or ctx.attr.init_file:
        if ctx.attr.agent:
            fail(("{}: the agent belongs to Fledge's own init, which starts it; with init = {} leave agent out, " +
                  "or map it where that init looks for it").format(
                ctx.label,
                repr(init or str(ctx.attr.init_file.label)),
            ))
        if ctx.attr.kernel and init == "none":
            fail("{}: kernel: its modules are loaded by Fledge's init, which init = \"none\" leaves out".format(ctx.label))
    if init == "none":
        return [], "/init"
    if init:
        check_path(ctx.label, "init", init)
        return [_pack_init(ctx, init)], init
    if ctx.attr.init_file:
        custom = pack_mappings(
            ctx,
            "custom-init",
            {ctx.attr.init_file: _CUSTOM_INIT_PATH},
            {_CUSTOM_INIT_PATH: "0755"},
        )
        return [_pack_init(ctx, _CUSTOM_INIT_PATH), custom], _CUSTOM_INIT_PATH
    packs = [_pack_init(ctx, _AGENT_PATH)]
    if ctx.attr.agent:
        packs.append(pack_mappings(ctx, "agent", {ctx.attr.agent: _AGENT_PATH}))
    return packs, _AGENT_PATH

def _link(ctx, image_packs, fill_packs, packs, required):
    name = ctx.label.name + _EXTENSIONS[ctx.attr.compression]
    out = ctx.actions.declare_file(name)
    digest = ctx.actions.declare_file(name + ".sha256")
    unpacked = ctx.actions.declare_file(ctx.label.name + ".unpacked-size")
    args = ctx.actions.args()
    args.add("initramfs")
    args.add_all(image_packs, before_each = "--pack", expand_directories = False)
    args.add_all(fill_packs, before_each = "--fill-pack")
    args.add_all(packs, before_each = "--pack")
    compression_args(ctx, args)
    args.add("--require", required)
    args.add("--arch", guest_arch(ctx))
    args.add("--lint", ctx.attr.lint)
    if ctx.attr.strict_xattrs:
        args.add("--strict-xattrs")
    args.add("--out", out)
    args.add("--digest-out", digest)
    args.add("--unpacked-out", unpacked)
    ctx.actions.run(
        mnemonic = "FledgeLinkInitramfs",
        progress_message = "Linking %{output}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = image_packs + fill_packs + packs,
        outputs = [out, digest, unpacked],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return out, digest, unpacked

def _parts(ctx):
    """Lists what the initramfs is made of, in the order of its layers."""
    parts = new_parts(ctx)
    add_image(ctx, parts, ctx.attr.image)
    if ctx.attr.busybox:
        add_part(parts, "busybox", ctx.attr.busybox.label, ctx.file.busybox, _BUSYBOX_PATH)
    if ctx.attr.init_path != "none":
        add_part(parts, "init", ctx.attr._init.label, ctx.file._init, "/init")
    if ctx.attr.init_file:
        add_mappings(ctx, parts, "mapping", {ctx.attr.init_file: _CUSTOM_INIT_PATH})
    if ctx.attr.agent:
        add_mappings(ctx, parts, "agent", {ctx.attr.agent: _AGENT_PATH})
    add_mappings(ctx, parts, "mapping", ctx.attr.mappings)
    add_materials(ctx, parts, kernels = [ctx.attr.kernel], files = [])
    return parts

def _parameters(ctx):
    """What was asked for, of the attributes that the initramfs depends on."""
    return common_parameters(ctx) | {
        "busybox": label_or_none(ctx.attr.busybox),
        "init": label_or_none(ctx.attr.init_file) or ctx.attr.init_path or None,
        "lint": ctx.attr.lint,
        "rule": "fledge_initramfs",
        "strict_xattrs": ctx.attr.strict_xattrs,
    }

def _initramfs_impl(ctx):
    image_packs, config = [], None
    if ctx.attr.image:
        info = packs_of(ctx, ctx.attr.image)
        image_packs, config = list(info.packs), info.config
    fill_packs = [_pack_busybox(ctx)] if ctx.attr.busybox else []
    packs, required = _layers_of_init(ctx)
    packs = packs + pack_mappings_of(ctx)
    if not (image_packs or fill_packs or packs):
        fail("{}: nothing to put into the initramfs: give image, busybox or mappings".format(ctx.label))

    initramfs, digest, unpacked = _link(ctx, image_packs, fill_packs, packs, required)
    manifest = write_manifest(
        ctx,
        config = config,
        initramfs = initramfs,
        initramfs_digest = digest,
        unpacked = unpacked,
    )
    groups = sbom_groups(
        ctx,
        parts = _parts,
        parameters = _parameters,
        image = initramfs,
        digest = digest,
        manifest = manifest,
    )
    return [
        DefaultInfo(files = depset([initramfs, manifest])),
        OutputGroupInfo(
            digests = depset([digest]),
            initramfs = depset([initramfs]),
            manifest = depset([manifest]),
            packs = depset(image_packs + fill_packs + packs),
            **groups
        ),
        FledgeImageInfo(
            arch = guest_arch(ctx),
            filesystem = "",
            rootfs = None,
            rootfs_digest = None,
            initramfs = initramfs,
            initramfs_digest = digest,
            manifest = manifest,
        ),
    ]

_initramfs = rule(
    implementation = _initramfs_impl,
    doc = "What the macro fledge_initramfs declares.",
    attrs = INITRAMFS_COMPRESSION_ATTRS | PACKER_ATTR | INIT_ATTRS | MANIFEST_ATTRS | MAPPING_ATTRS | SBOM_ATTRS | {
        "agent": attr.label(allow_files = True),
        "busybox": attr.label(allow_single_file = True),
        "image": attr.label(allow_files = True, aspects = [initramfs_packs_aspect]),
        "init_file": attr.label(allow_files = True),
        "init_path": attr.string(),
        "kernel": attr.label(providers = [FledgeKernelInfo]),
        "lint": attr.string(default = "error", values = ["error", "warning"]),
        "strict_xattrs": attr.bool(),
    },
    # No action is of it, but the macro gives exec_properties to the Dockerfile's target, too.
    exec_groups = {MACHINE_GROUP: exec_group()},
    provides = [FledgeImageInfo],
)

_DEFAULT_AGENT = Label("@fledge_agent//:agent")
_DEFAULT_BUSYBOX = Label("@fledge_busybox//:busybox")

def fledge_initramfs(
        name,
        manifest,
        image = None,
        dockerfile = None,
        context = [],
        base_images = {},
        base = None,
        target = "",
        build_args = {},
        busybox = _DEFAULT_BUSYBOX,
        init = None,
        agent = _DEFAULT_AGENT,
        mappings = {},
        modes = {},
        compression = "gzip",
        compression_level = 0,
        kernel = None,
        compat = "",
        lint = "error",
        strict_xattrs = False,
        **kwargs):
    """Builds an application, or an OCI image, as a bootable initramfs.

    ```starlark
    fledge_initramfs(
        name = "myapp",
        mappings = {"//cmd/myapp": "/usr/bin/myapp"},
        manifest = "manifest.toml",
    )
    ```

    Makes `NAME.cpio.gz` (a cpio archive in separately compressed segments, which the kernel unpacks into memory) and
    `NAME.manifest.json`. What it holds is overlaid in this order: the image, busybox, init and agent, the mappings; below
    all of it lie the directories that every program counts on (`/bin`, `/etc`, `/proc`, `/tmp` with mode 1777 and so on)
    and `/dev/console`. As with fledge_rootfs, each layer is packed by an action of its own and the initramfs is linked
    from the packs: compressed segments of unchanged layers are copied.

    The init has three modes:

    | `init` | PID 1 | what it becomes |
    |---|---|---|
    | none given | Fledge's init, which mounts `/proc`, `/sys`, `/dev`, `/tmp` and `/run` | the agent, `/bin/kestrel` |
    | `"//my:init"` | the same | that program, put at `/sbin/init` |
    | `"/path"` | the same | the program of the image or of a mapping at that path |
    | `"none"` | `/init` of the image or of a mapping | |

    | output group | files |
    |---|---|
    | default | `NAME.cpio.gz` (`.cpio.zst`, `.cpio.xz`, `.cpio.lz4`, `.cpio`), `NAME.manifest.json` |
    | `initramfs`, `manifest` | one of these |
    | `digests` | `NAME.cpio.gz.sha256`: `sha256:HEX` and a newline |
    | `packs` | the layer packs |
    | `sbom` | `NAME.spdx.json`, what the initramfs holds; with `--@fledge//fledge/settings:sbom`, see docs/sbom.md |
    | `provenance` | `NAME.provenance.json`, how it was built; with the same flag |

    | action (mnemonic) | what it makes |
    |---|---|
    | `FledgePack`, `FledgePackLayout` | the packs of the image's layers |
    | `FledgePackBusybox`, `FledgePackInit`, `FledgePackFiles` | those of busybox, init, agent and mappings |
    | `FledgeLinkInitramfs` | `NAME.cpio.gz` from the packs |
    | `FledgeManifest` | `NAME.manifest.json`; it reads the digest, not the initramfs |
    | `FledgeSbom`, `FledgeProvenance` | `NAME.spdx.json`, `NAME.provenance.json`; they read the layers and the digest |

    Args:
      name: of the target.
      manifest: the manifest.toml, which says how the image runs: docs/manifest.md lists its fields.
      image: the image, as fledge_rootfs takes it. Without one the initramfs has the other parts alone.
      dockerfile: a Dockerfile, a label, instead of an image. This and the five arguments below are those of fledge_dockerfile;
        for more of them declare one and give it as `image`.
      context: files of its build context.
      base_images: what its `FROM` may name.
      base: which of them the image is built upon; `""` for none.
      target: the stage to build.
      build_args: values of its `ARG`.
      busybox: a static busybox, put at `/bin/busybox` with a symlink for each of its applets where there is nothing yet.
        An image with a `/bin/busybox` keeps its own and gets none of it. Default: the one of the tag `fledge.busybox`,
        a pinned one for x86-64; `None` leaves it out.
      init: what runs first: a label, an absolute path, or `"none"`; see above.
      agent: the agent, put at `/bin/kestrel`: a label. Default, where Fledge's init starts it: the one of the tag
        `fledge.agent`. `None` when the image or a mapping brings it. With `init` it is an error.
      mappings: files of your own, label to absolute path, as in fledge_rootfs.
      modes: modes of mapped files, as in fledge_rootfs.
      compression: `gzip`, `zstd`, `xz`, `lz4` or `none`. The kernel must have the compressor (`CONFIG_RD_GZIP` and so on).
      compression_level: 1 to 22 for `zstd`, 1 to 9 for `gzip`; 0 is the default (15 and 6). docs/initramfs.md tells
        what serves them.
      kernel: the kernel that will boot the image, a fledge_kernel: its virtio modules are bundled, and the init loads
        them. Without it the kernel must have them built in. With its `config` the build fails when the kernel cannot start
        the initramfs: its compressor, for instance, is missing.
      compat: as in fledge_rootfs.
      lint: what a program is that cannot run there, because it is for another processor, or because its dynamic loader or
        its libraries are missing: an `error` or a `warning`.
      strict_xattrs: whether it is an error, and not only a warning, when a file loses its capabilities
        (`security.capability`): an initramfs has no extended attributes.
      **kwargs: what every rule has, such as `visibility` and `tags`.
    """
    init_file, init_path = None, ""
    if init != None:
        init = str(init)
        if init == "none" or (init.startswith("/") and not init.startswith("//")):
            init_path = init
        else:
            init_file = init
        if agent == _DEFAULT_AGENT:
            agent = None
    _initramfs(
        name = name,
        agent = agent,
        busybox = busybox,
        compat = compat,
        compression = compression,
        compression_level = compression_level,
        image = image_or_dockerfile(name, image, dockerfile, context, base_images, base, target, build_args, kwargs),
        init_file = init_file,
        init_path = init_path,
        kernel = kernel,
        lint = lint,
        manifest = manifest,
        mappings = mappings,
        modes = modes,
        sbom_tool = SBOM_TOOL,
        strict_xattrs = strict_xattrs,
        **kwargs
    )
