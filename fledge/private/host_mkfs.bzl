"""The repository of the programs that make file systems, of those that are installed on the machine."""

# Program -> the package that has it, by Debian's name, and the variable that names another.
_PROGRAMS = {
    "mkfs.btrfs": ("btrfs-progs", "FLEDGE_MKFS_BTRFS"),
    "mkfs.xfs": ("xfsprogs", "FLEDGE_MKFS_XFS"),
}

_FOLDERS = ["/usr/sbin", "/sbin", "/usr/local/sbin"]

_FOUND = """
# {version}, sha256:{digest}
filegroup(
    name = "{program}",
    srcs = ["{file}"],
    visibility = ["//visibility:public"],
)
"""

# An incompatible target is skipped by wildcards and names its reason, the constraint, when asked for by name.
_MISSING = """
filegroup(
    name = "{program}",
    target_compatible_with = ["@fledge//fledge/constraints:install_{package}_or_set_mkfs"],
    visibility = ["//visibility:public"],
)
"""

def _find(ctx, program, variable):
    """Path of the program that variable names, else of the one on PATH or in a folder of system programs, else None."""
    value = ctx.getenv(variable)
    if value:
        path = ctx.path(value)
        if not path.exists:
            fail("{}={}: no such program".format(variable, value))
        return path
    found = ctx.which(program)
    if found:
        return found
    for folder in _FOLDERS:
        path = ctx.path(folder + "/" + program)
        if path.exists:
            return path
    return None

def _version(ctx, path):
    """The last word of what the program says of its version, such as 6.1.0."""
    done = ctx.execute([path, "-V"], environment = {"LC_ALL": "C"})
    if done.return_code:
        fail("{} -V: exit code {}: {}{}".format(path, done.return_code, done.stdout, done.stderr))
    words = done.stdout.strip().split("\n")[0].split(" ")
    return "".join([c for c in words[-1].elems() if c.isalnum() or c in "._-+~"])

def _host_mkfs_impl(ctx):
    build = ""
    for program, (package, variable) in _PROGRAMS.items():
        path = _find(ctx, program, variable)
        if not path:
            build += _MISSING.format(program = program, package = package)
            continue
        ctx.watch(path)

        # Version and bytes are the input of the actions that use it, the version by the file's path.
        version = _version(ctx, path)
        file = "{}/{}".format(version, program)
        copied = ctx.download("file://" + str(path.realpath), output = file, executable = True)
        build += _FOUND.format(program = program, version = version, digest = copied.sha256, file = file)
    ctx.file("BUILD.bazel", build)

host_mkfs = repository_rule(
    implementation = _host_mkfs_impl,
    doc = "Copies of the `mkfs.xfs` and `mkfs.btrfs` that FLEDGE_MKFS_XFS and FLEDGE_MKFS_BTRFS name, or that are on " +
          "PATH or in a folder of system programs. The target of one that is missing is incompatible, and names its package: wildcard builds skip what depends on it.",
    local = True,
)
