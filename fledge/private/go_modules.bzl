"""The module extension that fetches Go modules of Fledge's own, beside the user's go_deps; Fledge alone uses it."""

load(":go_imports.bzl", "parse_imports")
load(":go_sdk.bzl", "go_sdks")
load(":go_vendor.bzl", "go_vendor")

# More folders than any module here has: Starlark has no other loop.
_MAX_FOLDERS = 1000

def _list_imports(module_ctx, folder):
    """Lists what the packages in a folder and below import, without their tests."""
    imports = {}
    folders = [folder]
    for i in range(_MAX_FOLDERS):
        if i == len(folders):
            return sorted(imports.keys())
        for path in folders[i].readdir():
            if path.basename.startswith(".") or path.basename in ["testdata", "vendor"]:
                continue
            if path.is_dir:
                folders.append(path)
            elif path.basename.endswith(".go") and not path.basename.endswith("_test.go"):
                imports.update({p: None for p in parse_imports(module_ctx.read(path))})
    return fail("{}: more than {} folders".format(folder, _MAX_FOLDERS))

def _go_modules_impl(module_ctx):
    go_sdks()
    for module in module_ctx.modules:
        for tag in module.tags.vendor:
            go_vendor(
                name = tag.name,
                folder = tag.go_mod.package,
                go_mod = tag.go_mod,
                go_sum = tag.go_mod.same_package_label("go.sum"),
                imports = _list_imports(module_ctx, module_ctx.path(tag.go_mod).dirname),
                parent_go_mod = tag.parent_go_mod,
            )
    return module_ctx.extension_metadata(reproducible = True)

go_modules = module_extension(
    implementation = _go_modules_impl,
    doc = "Repositories of the Go SDK and of what Go modules need. Only who builds such a module fetches them.",
    tag_classes = {
        "vendor": tag_class(
            doc = "Fetches what a Go module needs.",
            attrs = {
                "go_mod": attr.label(mandatory = True, doc = "The module's go.mod; go.sum is beside it."),
                "name": attr.string(mandatory = True, doc = "Name of the repository."),
                "parent_go_mod": attr.label(doc = "The go.mod of the module around it, in the repository's root."),
            },
        ),
    },
)
