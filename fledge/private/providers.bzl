"""FledgeLayersInfo: an OCI image as Bazel sees it, layer by layer."""

FledgeLayersInfo = provider(
    doc = "The layers of an OCI image and its config, each a file that an action can read on its own.",
    fields = {
        "config": "File: the image configuration (JSON, OCI image specification, config.md), or None",
        "layers": """\
list of struct, base layer first, one an entry of the image manifest's `layers`, so the same file may occur twice:

- `file` (File): the layer's blob as the registry has it: a tar, plain or compressed
- `digest` (string): `sha256:HEX` of the blob, "" when it is not known before the build
- `media_type` (string): the OCI or Docker media type, "" when unknown (then the blob's first bytes tell)""",
    },
)
