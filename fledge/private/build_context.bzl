"""The build context of a Dockerfile: files and where they go."""

load(":mappings.bzl", "check_source", "destinations", "is_executable")

CONTEXT_ATTRS = {
    "context": attr.label_list(allow_files = True),
    "context_mappings": attr.label_keyed_string_dict(allow_files = True),
    "modes": attr.string_dict(),
}

def path_in_package(label, file):
    """Gives the path that a file has in a package.

    Args:
      label: of a target of the package.
      file: File.

    Returns:
      string, or None for a file of another package that is not below this one, or of another repository.
    """
    if file.owner.workspace_name != label.workspace_name:
        return None
    path = file.short_path
    if path.startswith("../"):
        path = path.split("/", 2)[2]
    prefix = label.package + "/" if label.package else ""
    return path.removeprefix(prefix) if path.startswith(prefix) else None

def _check_path(ctx, attribute, path):
    elements = path.removesuffix("/").split("/") if path else []
    if [e for e in elements if e in ("", ".", "..")]:
        fail("{}: {}: {}: give a path relative to the context, without empty, '.' or '..' elements".format(
            ctx.label,
            attribute,
            repr(path),
        ))

def _context_files(ctx):
    """Lists (File, path in the context, whether it is a program)."""
    files = []
    for target in ctx.attr.context:
        for file in target[DefaultInfo].files.to_list():
            path = path_in_package(ctx.label, file)
            if path == None:
                fail("{}: context: {} is not in this package; give it with context_mappings".format(ctx.label, file.short_path))
            files.append((file, path, is_executable(target, file)))
    for target, dest in ctx.attr.context_mappings.items():
        _check_path(ctx, "context_mappings", dest)
        for file, path in destinations(ctx.label, target, "/" + dest):
            files.append((file, path[1:], is_executable(target, file)))
    return files

def _add_file(label, args, file, entry):
    """Adds a line for a file, whose path is an argument of its own, so that path mapping reaches it."""
    check_source(label, "Dockerfile and context", file)
    args.add_all([file], format_each = '{"src":"%s",' + json.encode(entry)[1:].replace("%", "%%"), expand_directories = False)

def context_args(ctx):
    """Gives the list of the files of context and Dockerfile for the solver.

    Args:
      ctx: context of a rule with CONTEXT_ATTRS and the attribute dockerfile.

    Returns:
      Args and a depset of File, the inputs.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("--spec=%s", use_always = True)
    _add_file(ctx.label, args, ctx.file.dockerfile, {"dest": "/dockerfile/" + ctx.file.dockerfile.basename, "executable": False})
    seen = {}
    for file, path, executable in _context_files(ctx):
        if path in seen and seen[path] != file:
            fail("{}: {} and {} both go to {} in the context".format(ctx.label, seen[path].short_path, file.short_path, path))
        if path in seen:
            continue
        seen[path] = file
        _add_file(ctx.label, args, file, {"dest": "/context/" + path, "executable": executable})
        if file.short_path == ctx.file.dockerfile.short_path + ".dockerignore":
            # BuildKit looks for it beside the Dockerfile, and prefers it to the context's own.
            _add_file(ctx.label, args, file, {"dest": "/dockerfile/" + file.basename, "executable": False})
    for path, mode in ctx.attr.modes.items():
        _check_path(ctx, "modes", path)
        args.add(json.encode({"mode": mode, "path": "/context/" + path}))
    return args, depset([ctx.file.dockerfile] + seen.values())
