"""The packages of a Go module, read without Go."""

load(":go_imports.bzl", "module_path", "parse_imports", "within")

# More folders than any module here has: Starlark has no other loop.
_MAX_FOLDERS = 1000

def list_packages(module_ctx, go_mod, folders):
    """Lists the packages in folders of a Go module and below, without tests and without modules of their own.

    Args:
      module_ctx: what reads the files; a change of them counts for it.
      go_mod: label of the module's go.mod.
      folders: list of strings, relative to the module; "" is all of it.

    Returns:
      dict from folder, relative to the module and "" for its own, to a struct of
        files: names of its files, Go's and others that may be embedded, and
        imports: import paths of its packages, sorted.
    """
    root = module_ctx.path(go_mod).dirname
    packages = {}
    queue = list(folders)
    for i in range(_MAX_FOLDERS):
        if i == len(queue):
            return packages
        folder = queue[i]
        path = root.get_child(folder) if folder else root
        if folder and path.get_child("go.mod").exists:
            continue
        files, imports, is_package = [], {}, False
        for child in sorted(path.readdir(), key = lambda p: p.basename):
            name = child.basename
            if name.startswith(".") or name in ["testdata", "vendor"]:
                continue
            elif child.is_dir:
                queue.append(folder + "/" + name if folder else name)
            elif not name.endswith("_test.go") and name not in ["BUILD", "BUILD.bazel"]:
                files.append(name)
                if name.endswith(".go"):
                    is_package = True
                    imports.update({p: None for p in parse_imports(module_ctx.read(child))})
        if is_package:
            packages[folder] = struct(files = files, imports = sorted(imports.keys()))
    return fail("{}: more than {} folders".format(root, _MAX_FOLDERS))

def imports_of(packages):
    """Lists what packages import, sorted; `packages` as list_packages gives them."""
    return sorted({path: None for package in packages.values() for path in package.imports}.keys())

def sources_build(packages, go_mod):
    """Writes a BUILD file with a filegroup for each package: its files, and those of the module's packages that it imports.

    Args:
      packages: as list_packages gives them; the files are expected in their folders.
      go_mod: string, the content of the module's go.mod.

    Returns:
      string.
    """
    module = module_path(go_mod)
    rules = ["package(default_visibility = [\"//visibility:public\"])", "exports_files([\"go.mod\"])"]
    for folder, package in packages.items():
        needs = [path.removeprefix(module + "/") for path in package.imports if within(path, module)]
        rules.append("filegroup(name = {}, srcs = {})".format(
            repr(folder),
            repr([folder + "/" + name for name in package.files] + [":" + need for need in needs]),
        ))
    return "\n\n".join(rules) + "\n"
