"""The fledge_layers rule."""

load(":providers.bzl", "FledgeLayersInfo")

def _fledge_layers_impl(ctx):
    base = ctx.attr.base[FledgeLayersInfo] if ctx.attr.base else None
    layers = list(base.layers) if base else []
    layers += [struct(file = f, digest = "", media_type = "") for f in ctx.files.layers]
    if not layers:
        fail("{}: no layers: give base, layers or both".format(ctx.label))
    config = ctx.file.config or (base.config if base else None)
    return [
        DefaultInfo(files = depset([layer.file for layer in layers] + ([config] if config else []))),
        FledgeLayersInfo(layers = layers, config = config),
    ]

fledge_layers = rule(
    implementation = _fledge_layers_impl,
    doc = """Makes an image of layer tars, on top of another image or alone.

```starlark
fledge_layers(
    name = "app_image",
    base = "@debian",
    layers = [":app_tar"],
)
```

Takes the output of any rule that makes tars (tar.bzl, rules_pkg); each layer is packed by an action of its own, and
images with the same base share the packs of its layers. The default outputs are the layers, base layer first, and the
config. The rule itself runs no action; `fledge_rootfs` packs with `FledgePack`.
""",
    attrs = {
        "base": attr.label(
            providers = [FledgeLayersInfo],
            doc = "The image whose layers come first: a target of the `fledge.image` extension or another " +
                  "`fledge_layers`.",
        ),
        "config": attr.label(
            allow_single_file = [".json"],
            doc = "The OCI image configuration (JSON), whose entrypoint, environment, user, folder and ports the " +
                  "manifest takes over. Default: the base's.",
        ),
        "layers": attr.label_list(
            allow_files = True,
            doc = "Layer tars, lowest first: uncompressed, gzip or zstd. Their whiteouts (`.wh.NAME`) remove files " +
                  "of the layers below.",
        ),
    },
    provides = [FledgeLayersInfo],
)
