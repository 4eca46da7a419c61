"""Packing the layers of an image: an aspect, so that images which share layers share the actions."""

load(":compression.bzl", "COMPRESSION_ATTRS", "INITRAMFS_COMPRESSION_ATTRS", "compression_slug", "pack_args")
load(":guest.bzl", "GUEST_ATTR", "guest_arch")
load(":packs_info.bzl", "FledgePacksInfo")
load(":providers.bzl", "FledgeLayersInfo")
load(":solved_info.bzl", "FledgeSolvedInfo")

# A layer's file name does not matter to an action that only reads it, so configurations may share the cache entry.
PACKER_REQUIREMENTS = {"supports-path-mapping": "1"}

PACKER_ATTR = GUEST_ATTR | {
    "_packer": attr.label(
        default = Label("//tools/bin:packer"),
        executable = True,
        cfg = "exec",
    ),
}

def _pack_layer(ctx, name, index, layer):
    out = ctx.actions.declare_file("{}.{}.{}.pack".format(name, index, compression_slug(ctx)))
    args = ctx.actions.args()
    args.add("pack")
    args.add("--layer", layer.file)
    if layer.digest:
        args.add("--digest", layer.digest)
    pack_args(ctx, args)
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgePack",
        progress_message = "Packing layer {} of %{{label}}".format(index),
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = [layer.file],
        outputs = [out],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return out

def _dirname(file):
    return file.dirname

def layout_of(target):
    """Finds the path that an image has which is a layout directory, all files of one, or a tar.

    Args:
      target: the image.

    Returns:
      struct of files and map_each, which Args.add_all takes and which give the path, and inputs, a depset of File: what an
      action must have to read it.
    """
    files = target[DefaultInfo].files.to_list()
    indexes = [f for f in files if f.basename == "index.json"]
    if len(files) != 1 and not indexes:
        fail(("{}: not an image: it gives {} files and none of them is index.json. Accepted are a target of the fledge.image " +
              "extension, fledge_layers, an OCI layout directory (or all files of one), and an OCI or docker-save tar.").format(
            target.label,
            len(files),
        ))
    return struct(
        files = files if len(files) == 1 else indexes[:1],
        # rules_oci makes layouts whose members are symlinks to its target's runfiles.
        inputs = depset(files, transitive = [target[DefaultInfo].default_runfiles.files]),
        map_each = None if len(files) == 1 else _dirname,
    )

def layout_inputs(ctx, target, args):
    """Adds --layout and --platform for an image that is a layout directory, all files of one, or a tar.

    Args:
      ctx: context of a rule or an aspect with PACKER_ATTR.
      target: the image.
      args: the Args to add to.

    Returns:
      depset of File: what the action must have as inputs.
    """
    layout = layout_of(target)
    args.add_all(layout.files, before_each = "--layout", map_each = layout.map_each, expand_directories = False)
    args.add("--platform", "linux/" + guest_arch(ctx))
    return layout.inputs

def _pack_layout(ctx, target, owner, base = None):
    name = "{}.{}".format(owner.name, compression_slug(ctx))
    packs = ctx.actions.declare_directory(name + ".packs")
    config = ctx.actions.declare_file(name + ".config.json")

    args = ctx.actions.args()
    args.add("pack-layout")
    inputs = layout_inputs(ctx, target, args)
    pack_args(ctx, args)
    if base:
        args.add("--base-config", base.config)
        inputs = depset([base.config], transitive = [inputs])
    args.add_all([packs], before_each = "--out-dir", expand_directories = False)
    args.add("--config-out", config)
    ctx.actions.run(
        mnemonic = "FledgePackLayout",
        progress_message = "Packing the layers of %{label}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = inputs,
        outputs = [packs, config],
    )
    return FledgePacksInfo(packs = (list(base.packs) if base else []) + [packs], config = config)

def _packs_aspect_impl(target, ctx):
    # The base's packs are the base's own, so that all images on it share them.
    base = getattr(ctx.rule.attr, "base", None)
    if FledgeLayersInfo not in target:
        packed = base[FledgePacksInfo] if FledgeSolvedInfo in target and base and FledgePacksInfo in base else None
        return [_pack_layout(ctx, target, target.label, packed)]
    info = target[FledgeLayersInfo]
    packs = list(base[FledgePacksInfo].packs) if base else []
    for i in range(len(packs), len(info.layers)):
        packs.append(_pack_layer(ctx, target.label.name, i, info.layers[i]))
    return [FledgePacksInfo(packs = packs, config = info.config)]

packs_aspect = aspect(
    implementation = _packs_aspect_impl,
    doc = "Packs the layers of an image, one action a layer where the layers are known at analysis time.",
    attr_aspects = ["base"],
    attrs = COMPRESSION_ATTRS | PACKER_ATTR,
    provides = [FledgePacksInfo],
)

initramfs_packs_aspect = aspect(
    implementation = _packs_aspect_impl,
    doc = "The same for an initramfs.",
    attr_aspects = ["base"],
    attrs = INITRAMFS_COMPRESSION_ATTRS | PACKER_ATTR,
    provides = [FledgePacksInfo],
)

def packs_of(ctx, target):
    """Gives the packs of an image that a rule was given.

    Args:
      ctx: context of a rule with the compression attributes and PACKER_ATTR.
      target: the image, from an attribute with one of the aspects.

    Returns:
      FledgePacksInfo
    """
    if FledgePacksInfo in target:
        return target[FledgePacksInfo]

    # Bazel applies aspects to rules alone, and this is a file.
    return _pack_layout(ctx, target, ctx.label)
