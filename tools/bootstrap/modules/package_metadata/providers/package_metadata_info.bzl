"""Stand-in for the provider that gazelle's generated BUILD files name."""

PackageMetadataInfo = provider(
    doc = "Where a package comes from.",
    fields = {
        "files": "a depset of files",
        "metadata": "the metadata file, here always None",
    },
)
