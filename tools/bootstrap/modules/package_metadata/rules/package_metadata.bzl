"""Stand-in for the rule that gazelle puts into generated BUILD files."""

load("//providers:package_metadata_info.bzl", "PackageMetadataInfo")

def _package_metadata_impl(_ctx):
    return [PackageMetadataInfo(metadata = None, files = depset())]

_package_metadata = rule(
    implementation = _package_metadata_impl,
    attrs = {
        "attributes": attr.label_list(),
        "purl": attr.string(),
    },
)

def package_metadata(name, **kwargs):
    _package_metadata(name = name, applicable_licenses = [], **kwargs)
