"""The output groups `sbom` and `provenance` of images."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":guest.bzl", "guest_arch")
load(":kernel_info.bzl", "FledgeKernelInfo")
load(":mappings.bzl", "check_source", "destinations")
load(":packs.bzl", "layout_of")
load(":providers.bzl", "FledgeLayersInfo")

# The value of sbom_tool. What it is made of is fetched when it is analysed, so that it hangs on a flag: Bazel knows at that
# time nothing of the output groups that were asked for.
SBOM_TOOL = select({
    Label("//fledge/settings:with_sbom"): Label("//tools/bin:sbom"),
    "//conditions:default": None,
})

SBOM_ATTRS = {
    "sbom_tool": attr.label(executable = True, cfg = "exec"),
    "_builder_id": attr.label(default = Label("//fledge/settings:builder_id")),
}

_OFF = """{}: the output groups sbom and provenance need --@fledge//fledge/settings:sbom, \
on the command line or in .bazelrc: without it, what makes them is not fetched. See docs/sbom.md."""

def _name(label):
    """The label as people write it, without what only says that it is of the main repository."""
    return str(label).removeprefix("@@" if str(label).startswith("@@//") else "@" if str(label).startswith("@//") else "")

def new_parts(ctx):
    """Begins a list of what an image is made of.

    Args:
      ctx: context of a rule with SBOM_ATTRS.

    Returns:
      struct for the functions below.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("--parts=%s", use_always = True)
    return struct(args = args, inputs = [], transitive = [])

def add_part(parts, kind, label, file, dest = "", map_each = None, **fields):
    """Adds a file to the list.

    Args:
      parts: of new_parts.
      kind: as internal/inventory names it.
      label: what names the file in the outputs.
      file: File.
      dest: its absolute path in the image; "" when it is not in the image's tree.
      map_each: as of Args.add_all; default the file's path.
      **fields: further fields of internal/inventory.Part.
    """
    check_source(label, kind, file)
    rest = json.encode({"dest": dest, "kind": kind, "label": _name(label)} | fields)[1:].replace("%", "%%")
    parts.args.add_all([file], format_each = '{"src":"%s",' + rest, map_each = map_each, expand_directories = False)
    parts.inputs.append(file)

def add_image(ctx, parts, target):
    """Adds the layers of an image.

    Args:
      ctx: context of a rule with GUEST_ATTR.
      parts: of new_parts.
      target: the image, or None.
    """
    if not target:
        return
    if FledgeLayersInfo in target:
        info = target[FledgeLayersInfo]
        for layer in info.layers:
            label = layer.file.owner or target.label
            add_part(parts, "layer", label, layer.file, digest = layer.digest, media_type = layer.media_type)
        if info.config:
            add_part(parts, "material", info.config.owner or target.label, info.config)
        return
    layout = layout_of(target)
    add_part(
        parts,
        "layout",
        target.label,
        layout.files[0],
        map_each = layout.map_each,
        platform = "linux/" + guest_arch(ctx),
    )
    parts.transitive.append(layout.inputs)

def add_mappings(ctx, parts, kind, mappings):
    """Adds mapped files.

    Args:
      ctx: context of the rule.
      parts: of new_parts.
      kind: `agent` or `mapping`.
      mappings: dict from target to absolute destination.
    """
    for target, dest in mappings.items():
        for file, path in destinations(ctx.label, target, dest):
            add_part(parts, kind, target.label, file, path)

def _add_kernel(parts, target):
    kernel = target[FledgeKernelInfo]
    if kernel.config:
        add_part(parts, "material", kernel.config.owner or target.label, kernel.config)
    if not kernel.modules_root:
        return
    root = kernel.modules_root.dirname + "/"
    for file in kernel.modules.to_list():
        add_part(parts, "material", target.label, file, "/" + file.path.removeprefix(root))

def add_materials(ctx, parts, kernels, files):
    """Adds what the image is made of and what is no file of it.

    Args:
      ctx: context of a rule with MANIFEST_ATTRS.
      parts: of new_parts.
      kernels: list of targets with FledgeKernelInfo, or None.
      files: list of File, or None.
    """
    for target in kernels:
        if target:
            _add_kernel(parts, target)
    for file in [ctx.file.manifest] + files:
        if file:
            add_part(parts, "material", file.owner or ctx.label, file)

def label_or_none(target):
    """The name of a target, or None.

    Args:
      target: Target, or None.

    Returns:
      string, or None.
    """
    return _name(target.label) if target else None

def common_parameters(ctx):
    """The parameters of a provenance statement that all images have.

    Args:
      ctx: context of a rule with the attributes of compression, mappings and manifest.

    Returns:
      dict
    """
    return {
        "agent": label_or_none(ctx.attr.agent),
        "architecture": guest_arch(ctx),
        "compat": ctx.attr.compat,
        "compression": ctx.attr.compression,
        "compression_level": ctx.attr.compression_level,
        "image": label_or_none(ctx.attr.image),
        "kernel": label_or_none(ctx.attr.kernel),
        "manifest": _name(ctx.attr.manifest.label),
        "mappings": {_name(target.label): dest for target, dest in ctx.attr.mappings.items()},
        "modes": ctx.attr.modes,
        "target": _name(ctx.label),
    }

def sbom_groups(ctx, parts, parameters, image, digest, manifest, boot = None, boot_digest = None):
    """Registers the actions of the output groups.

    They read digests, not the image.

    Args:
      ctx: context of a rule with SBOM_ATTRS.
      parts: function that lists what the image is made of: ctx to what new_parts gives.
      parameters: function that tells what was asked for: ctx to dict.
      image: File.
      digest: File with its digest.
      manifest: File, manifest.json.
      boot: File, the initramfs that boots the image, or None.
      boot_digest: File with that one's digest, or None.

    Returns:
      dict from output group to depset of File.
    """
    sbom = ctx.actions.declare_file(ctx.label.name + ".spdx.json")
    statement = ctx.actions.declare_file(ctx.label.name + ".provenance.json")
    if not ctx.executable.sbom_tool:
        ctx.actions.run_shell(
            mnemonic = "FledgeNoSbom",
            command = "echo \"$1\" >&2; exit 1",
            arguments = [_OFF.format(_name(ctx.label))],
            outputs = [sbom, statement],
        )
        return {"provenance": depset([statement]), "sbom": depset([sbom])}

    parts = parts(ctx)
    args = ctx.actions.args()
    args.add("--name", image.basename)
    args.add("--digest", digest)
    inputs = [digest] + parts.inputs
    if boot:
        args.add("--boot", boot.basename)
        args.add("--boot-digest", boot_digest)
        inputs.append(boot_digest)
    _run(ctx, "spdx", "FledgeSbom", parts, args, inputs, sbom)

    details = ctx.actions.args()
    details.add("--manifest", manifest)
    details.add("--parameters", json.encode(parameters(ctx)))
    details.add("--builder", ctx.attr._builder_id[BuildSettingInfo].value)
    _run(ctx, "provenance", "FledgeProvenance", parts, args, inputs + [manifest], statement, [details])
    return {"provenance": depset([statement]), "sbom": depset([sbom])}

def _run(ctx, command, mnemonic, parts, args, inputs, out, more = []):
    outputs = ctx.actions.args()
    outputs.add("--out", out)
    ctx.actions.run(
        mnemonic = mnemonic,
        progress_message = "Writing %{output}",
        executable = ctx.executable.sbom_tool,
        arguments = [command, args] + more + [outputs, parts.args],
        inputs = depset(inputs, transitive = parts.transitive),
        outputs = [out],
    )
