"""FledgePacksInfo: the packed layers of an image."""

FledgePacksInfo = provider(
    doc = "Layer packs of an image, made with one compressor, level and block size.",
    fields = {
        "config": "File: the image's OCI config (JSON), or None",
        "packs": "list of File, base layer first: layer packs, or directories whose *.pack count in the order of " +
                 "their names; a directory with a file `complete` replaces what stands before it",
    },
)
