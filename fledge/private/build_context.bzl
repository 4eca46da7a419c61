"""The build context of a Dockerfile: files and where they go."""

load(":mappings.bzl", "destinations", "is_executable")

CONTEXT_ATTRS = {
    "context": attr.label_list(allow_files = True),
    "context_mappings": attr.label_keyed_string_dict(allow_files = True),
    "modes": attr.string_dict(),
}

def _path_in_package(ctx, file):
    path = file.short_path
    package = ctx.label.package
    if ctx.label.workspace_name and path.startswith("../"):
        path = path.split("/", 2)[2]
    if not package:
        return path
    if path.startswith(package + "/"):
        return path[len(package) + 1:]
    return fail("{}: context: {} is not in this package; give it with context_mappings".format(ctx.label, file.short_path))

def _context_files(ctx):
    """Lists (File, path in the context, whether it is a program)."""
    files = []
    for target in ctx.attr.context:
        for file in target[DefaultInfo].files.to_list():
            files.append((file, _path_in_package(ctx, file), is_executable(target, file)))
    for target, dest in ctx.attr.context_mappings.items():
        if dest.startswith("/"):
            fail("{}: context_mappings: {}: give a path relative to the context".format(ctx.label, repr(dest)))
        for file, path in destinations(ctx.label, target, "/" + dest):
            files.append((file, path[1:], is_executable(target, file)))
    return files

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
    args.add_all(
        [ctx.file.dockerfile],
        format_each = '{"src":"%s","executable":false,"dest":' + json.encode("/dockerfile/" + ctx.file.dockerfile.basename) + "}",
    )
    seen = {}
    for file, path, executable in _context_files(ctx):
        if path in seen and seen[path] != file:
            fail("{}: {} and {} both go to {} in the context".format(ctx.label, seen[path].short_path, file.short_path, path))
        if path in seen:
            continue
        seen[path] = file
        entry = {"dest": "/context/" + path, "executable": executable}
        rest = json.encode(entry)[1:].replace("%", "%%")
        args.add_all([file], format_each = '{"src":"%s",' + rest, expand_directories = False)
    for path, mode in ctx.attr.modes.items():
        args.add(json.encode({"mode": mode, "path": "/context/" + path}))
    return args, depset([ctx.file.dockerfile] + seen.values())
