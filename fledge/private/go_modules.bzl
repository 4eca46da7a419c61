"""The module extension that fetches what Fledge's own Go programs are built of; Fledge alone uses it."""

load(":go_packages.bzl", "imports_of", "list_packages", "sources_build")
load(":go_sdk.bzl", "go_sdks")
load(":go_sources.bzl", "go_sources")
load(":go_vendor.bzl", "go_vendor")
load(":gobuild_repo.bzl", "gobuilds")

def _go_modules_impl(module_ctx):
    go_sdks()
    gobuilds()
    for module in module_ctx.modules:
        for tag in module.tags.vendor:
            packages = list_packages(module_ctx, tag.go_mod, tag.folders)
            go_vendor(
                name = tag.name,
                folder = tag.go_mod.package,
                go_mod = tag.go_mod,
                go_sum = tag.go_mod.same_package_label("go.sum"),
                imports = imports_of(packages),
                parent_go_mod = tag.parent_go_mod,
            )
            if tag.sources:
                go_sources(
                    name = tag.sources,
                    build = sources_build(packages, module_ctx.read(tag.go_mod)),
                    files = [folder + "/" + name for folder, package in packages.items() for name in package.files],
                    go_mod = tag.go_mod,
                )
    return module_ctx.extension_metadata(reproducible = True)

go_modules = module_extension(
    implementation = _go_modules_impl,
    doc = """Repositories of the Go SDK and of what Fledge's programs are built of, outside of the workspace's go_deps.

Only what a build needs is fetched.
""",
    tag_classes = {
        "vendor": tag_class(
            doc = "Fetches what a Go module needs.",
            attrs = {
                "folders": attr.string_list(
                    default = [""],
                    doc = "The folders with the module's packages, relative to it; by default all of it.",
                ),
                "go_mod": attr.label(mandatory = True, doc = "The module's go.mod; go.sum is beside it."),
                "name": attr.string(mandatory = True, doc = "Name of the repository."),
                "parent_go_mod": attr.label(doc = "The go.mod of the module around it, in the repository's root."),
                "sources": attr.string(
                    doc = "Name of a repository with the module's own sources, a filegroup for each package.",
                ),
            },
        ),
    },
)
