"""A mock of rules_oci's oci_image: an OCI layout directory, with the layers of the base and of the tars."""

def _oci_image_impl(ctx):
    layout = ctx.actions.declare_directory(ctx.label.name)
    base = ctx.file.base
    lines = [
        "set -eu",
        'cp -rL "$1/." "$2"',
        'chmod -R u+w "$2"',
        "layout=$2 entrypoint=$3",
        "shift 3",
        'for tar; do umoci raw add-layer --image "$layout:latest" "$tar"; done',
        'umoci config --image "$layout:latest" --config.entrypoint "$entrypoint"',
        'umoci gc --layout "$layout"',
    ]
    ctx.actions.run_shell(
        inputs = [base] + ctx.files.tars,
        outputs = [layout],
        command = "\n".join(lines),
        arguments = [base.path, layout.path, ctx.attr.entrypoint[0]] + [tar.path for tar in ctx.files.tars],
    )
    return [DefaultInfo(files = depset([layout]))]

oci_image = rule(
    implementation = _oci_image_impl,
    attrs = {
        "base": attr.label(allow_single_file = True, mandatory = True),
        "entrypoint": attr.string_list(mandatory = True),
        "tars": attr.label_list(allow_files = True),
    },
)
