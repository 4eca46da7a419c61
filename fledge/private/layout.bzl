"""The fledge_layout rule."""

load(":packs.bzl", "PACKER_ATTR", "layout_inputs")
load(":providers.bzl", "FledgeLayersInfo")

def _fledge_layout_impl(ctx):
    if ctx.attr.layers < 1:
        fail("{}: layers = {}: give the number of the image's layers".format(ctx.label, ctx.attr.layers))
    config = ctx.actions.declare_file(ctx.label.name + ".config.json")
    layers = [
        ctx.actions.declare_file("{}.{}.layer".format(ctx.label.name, i))
        for i in range(ctx.attr.layers)
    ]
    args = ctx.actions.args()
    args.add("split-layout")
    inputs = layout_inputs(ctx, ctx.attr.layout, args)
    args.add_all(layers, before_each = "--layer-out")
    args.add("--config-out", config)
    ctx.actions.run(
        mnemonic = "FledgeSplitLayout",
        progress_message = "Splitting the layers of %{label}",
        executable = ctx.executable._packer,
        arguments = [args],
        inputs = inputs,
        outputs = layers + [config],
    )
    return [
        DefaultInfo(files = depset(layers + [config])),
        FledgeLayersInfo(
            layers = [struct(file = f, digest = "", media_type = "") for f in layers],
            config = config,
        ),
    ]

fledge_layout = rule(
    implementation = _fledge_layout_impl,
    doc = """Makes the layers of an OCI layout known to Bazel, so that each is packed, and cached, on its own.

```starlark
oci_image(name = "app_oci", base = "@debian", tars = [":app_tar"])

fledge_layout(
    name = "app_layers",
    layout = ":app_oci",
    layers = 2,
)
```

fledge_rootfs takes a layout as it is, but what is in it is known to Bazel only when it has been built: one action packs
all layers, and again when any of them changes. Where the base is large and the app changes often, this rule in between
copies the layers out first. When their number is wrong, the build fails and says the right one.

The default outputs are `NAME.0.layer`, `NAME.1.layer` and so on, base layer first, and `NAME.config.json`. Its action
has the mnemonic `FledgeSplitLayout`.
""",
    attrs = PACKER_ATTR | {
        "layers": attr.int(
            mandatory = True,
            doc = "The number of the image's layers, at least 1. Bazel has to know it before the layout is built.",
        ),
        "layout": attr.label(
            allow_files = True,
            mandatory = True,
            doc = "An OCI layout directory (as rules_oci and rules_img make; or all files of one), or an OCI or " +
                  "docker-save tar. Of several images in it the one for the target platform's CPU is " +
                  "taken, linux/amd64 or linux/arm64.",
        ),
    },
    provides = [FledgeLayersInfo],
)
