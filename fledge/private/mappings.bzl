"""Mappings: single files and folders packed as one more layer of an image."""

load(":compression.bzl", "compression_slug", "pack_args")
load(":packs.bzl", "PACKER_REQUIREMENTS")

def check_path(label, attribute, path):
    """Fails unless path is an absolute path in its shortest form (a trailing slash is allowed)."""
    elements = path.removesuffix("/").split("/")[1:]
    if not path.startswith("/") or not elements or [e for e in elements if e in ("", ".", "..")]:
        fail("{}: {}: {}: give an absolute path without empty, '.' or '..' elements, such as /usr/bin/app".format(
            label,
            attribute,
            repr(path),
        ))

def is_executable(target, file):
    """Tells whether a file is the program that a rule makes."""

    # Bazel keeps no modes, and calls every file target its own executable: only a rule's declared executable counts.
    return (target[DefaultInfo].files_to_run.executable == file and
            not file.is_source and file.owner == target.label)

def check_source(label, attribute, file):
    """Fails for a file whose path, which stands as it is in a line of JSON so that path mapping reaches it, needs escapes."""
    if '"' in file.path or "\\" in file.path:
        fail("{}: {}: {}: Fledge takes no file with a double quote or a backslash in its path: rename it".format(
            label,
            attribute,
            file.path,
        ))

def _relative(target, file):
    """Path of one of several files below the destination: relative to PACKAGE/NAME/ when it lies there, else to PACKAGE."""
    path = file.short_path
    if path.startswith("../"):
        path = path.split("/", 2)[2]
    for prefix in [target.label.package + "/" + target.label.name, target.label.package]:
        prefix = prefix.strip("/")
        if not prefix:
            return path
        if path.startswith(prefix + "/"):
            return path[len(prefix) + 1:]
    return path

def _files_of(target):
    """The files a mapping stands for: what the target builds, or its executable alone."""
    files = target[DefaultInfo].files.to_list()
    executable = target[DefaultInfo].files_to_run.executable
    if executable and len(files) > 1 and is_executable(target, executable):
        return [executable]
    return files

def destinations(label, target, dest):
    """Says where the files of a mapping go.

    Args:
      label: of the rule, for errors.
      target: what is mapped.
      dest: the mapping's absolute destination.

    Returns:
      list of (File, absolute path)
    """
    files = _files_of(target)
    if not files:
        fail("{}: mappings: {} gives no files".format(label, target.label))
    if len(files) > 1:
        root = dest.removesuffix("/")
        return [(f, "{}/{}".format(root, _relative(target, f))) for f in files]
    if dest.endswith("/") and not files[0].is_directory:
        return [(files[0], dest + files[0].basename)]
    return [(files[0], dest.removesuffix("/"))]

# The macros that declare the rules say what these are.
MAPPING_ATTRS = {
    "mappings": attr.label_keyed_string_dict(allow_files = True),
    "modes": attr.string_dict(),
}

def pack_mappings_of(ctx):
    """Packs what MAPPING_ATTRS say.

    Args:
      ctx: context of a rule with MAPPING_ATTRS and what pack_mappings needs.

    Returns:
      list of File: the layer pack, or nothing.
    """
    if ctx.attr.mappings:
        return [pack_mappings(ctx, "mappings", ctx.attr.mappings, ctx.attr.modes)]
    if ctx.attr.modes:
        fail("{}: modes sets the modes of mapped files, and there are no mappings".format(ctx.label))
    return []

def pack_mappings(ctx, name, mappings, modes = {}):
    """Registers the action that packs files as one layer.

    Args:
      ctx: context of a rule with the compression attributes and PACKER_ATTR.
      name: what the layer is called in the output's name.
      mappings: dict from target to absolute destination.
      modes: dict from absolute path in the image to octal mode.

    Returns:
      File: the layer pack.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("--spec=%s", use_always = True)
    inputs = []
    seen = {}
    unused = dict(modes)
    for target, dest in mappings.items():
        check_path(ctx.label, "mappings", dest)
        for file, path in destinations(ctx.label, target, dest):
            if path in seen:
                fail("{}: mappings: {} and {} both go to {}".format(ctx.label, seen[path], target.label, path))
            seen[path] = target.label
            check_source(ctx.label, "mappings", file)
            inputs.append(file)
            entry = {"dest": path, "executable": is_executable(target, file)}
            if path in modes:
                entry["mode"] = modes[path]
                unused.pop(path)

            # One JSON object a line; the File itself is an argument, so that path mapping reaches it.
            rest = json.encode(entry)[1:].replace("%", "%%")
            args.add_all([file], format_each = '{"src":"%s",' + rest, expand_directories = False)
    for path, mode in unused.items():
        # A path below a mapped folder is known only to the action.
        check_path(ctx.label, "modes", path)
        args.add(json.encode({"path": path, "mode": mode}))

    out = ctx.actions.declare_file("{}.{}.{}.pack".format(ctx.label.name, name, compression_slug(ctx)))
    flags = ctx.actions.args()
    flags.add("pack-files")
    pack_args(ctx, flags)
    flags.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgePackFiles",
        progress_message = "Packing {} of %{{label}}".format(name),
        executable = ctx.executable._packer,
        arguments = [flags, args],
        inputs = inputs,
        outputs = [out],
        execution_requirements = PACKER_REQUIREMENTS,
    )
    return out
