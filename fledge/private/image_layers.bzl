"""The rule that a repository of the fledge.image extension makes its targets with."""

load(":providers.bzl", "FledgeLayersInfo")

def _oci_image_layers_impl(ctx):
    layers, digests, media_types = ctx.attr.layers, ctx.attr.layer_digests, ctx.attr.media_types
    if len(layers) != len(digests) or len(layers) != len(media_types):
        fail("{}: layers, layer_digests and media_types must be of one length, not {}, {} and {}".format(
            ctx.label,
            len(layers),
            len(digests),
            len(media_types),
        ))
    entries = []
    for layer, digest, media_type in zip(layers, digests, media_types):
        files = layer[DefaultInfo].files.to_list()
        if len(files) != 1:
            fail("{}: layer {} must be one file, not {}".format(ctx.label, layer.label, len(files)))
        entries.append(struct(file = files[0], digest = digest, media_type = media_type))
    config = ctx.file.config
    return [
        DefaultInfo(files = depset([e.file for e in entries] + ([config] if config else []))),
        FledgeLayersInfo(layers = entries, config = config),
    ]

oci_image_layers = rule(
    implementation = _oci_image_layers_impl,
    doc = """Groups the blobs of an image under one label. It runs no action.

The default outputs are the layers, base layer first, and the config.
""",
    attrs = {
        "config": attr.label(
            doc = "The image configuration (JSON).",
            allow_single_file = True,
        ),
        "layer_digests": attr.string_list(
            doc = "`sha256:HEX` of each layer, in the order of `layers`; \"\" for one that is not known.",
            mandatory = True,
        ),
        "layers": attr.label_list(
            doc = "The layers, base layer first, each label one file. A layer that occurs twice needs two labels.",
            allow_files = True,
            mandatory = True,
        ),
        "media_types": attr.string_list(
            doc = "The media type of each layer, in the order of `layers`; \"\" for one that is not known.",
            mandatory = True,
        ),
    },
    provides = [FledgeLayersInfo],
)
