"""Programs that a tag of the module extension declares, one file an architecture."""

load(":program_repo.bzl", "front_repo", "program_repo")
load(":reference.bzl", "is_sha256")

# Architecture, as Go and OCI name it -> the constraint that stands for it.
ARCHITECTURES = {
    "amd64": "@platforms//cpu:x86_64",
    "arm64": "@platforms//cpu:aarch64",
}

_FRONT = """load({rule}, "unavailable")

package(default_visibility = ["//visibility:public"])

alias(
    name = {name},
    actual = select(
        {choices},
        no_match_error = {no_match},
    ),
)
"""

_UNAVAILABLE = """
unavailable(
    name = {name},
    message = {message},
    tags = ["manual"],
)
"""

_ALIAS = """alias(
    name = {name},
    actual = {actual},
    visibility = ["//visibility:public"],
)
"""

def sha256_error(sha256):
    """Says what is wrong with a checksum.

    Args:
      sha256: string, as the user wrote it.

    Returns:
      None when it is right, else what it should be.
    """
    if is_sha256("sha256:" + sha256):
        return None
    return "sha256 {} must be 64 lower case hexadecimal digits".format(repr(sha256))

def _repo(name, arch):
    return "{}.{}".format(name, arch)

def front_build(name, target, file, found, missing):
    """Writes the BUILD file of the repository in front of a program.

    Args:
      name: of the repository.
      target: the name of the target in it.
      file: the name of the program's file.
      found: the architectures that there are repositories for.
      missing: dict from each other architecture to what a build for it is told.

    Returns:
      string: the BUILD file.
    """
    rule = repr(str(Label(":unavailable.bzl")))
    choices = {
        constraint: "@{}//:{}".format(_repo(name, arch), file) if arch in found else ":unavailable_" + arch
        for arch, constraint in ARCHITECTURES.items()
    }
    build = _FRONT.format(
        rule = rule,
        choices = repr(choices),
        name = repr(target),
        no_match = repr("@{} is for {} alone".format(name, " and ".join(ARCHITECTURES.keys()))),
    )
    return build + "".join([
        _UNAVAILABLE.format(name = repr("unavailable_" + arch), message = repr(message))
        for arch, message in missing.items()
    ])

def unavailable_build(target, message):
    """Writes the BUILD file of a repository whose target cannot be built.

    Args:
      target: its name.
      message: what a build is told.

    Returns:
      string: the BUILD file.
    """
    rule = repr(str(Label(":unavailable.bzl")))
    return "load({}, \"unavailable\")\n\npackage(default_visibility = [\"//visibility:public\"])\n".format(rule) + (
        _UNAVAILABLE.format(name = repr(target), message = repr(message))
    )

def alias_build(target, actual):
    """Writes the BUILD file of a repository whose target stands for another.

    Args:
      target: its name.
      actual: the label of the other.

    Returns:
      string: the BUILD file.
    """
    return _ALIAS.format(name = repr(target), actual = repr(actual))

def declare_program(name, target, file, declaration, downloads, missing):
    """Makes the repositories of a program.

    Args:
      name: of the repository in front; those of the architectures are NAME.amd64 and NAME.arm64.
      target: the name of the target in it.
      file: what the program's file is called.
      declaration: the tag that declares it, for errors.
      downloads: dict from architecture to a struct of url, sha256 and advice.
      missing: dict from each other architecture to what a build for it is told.
    """
    for arch, download in downloads.items():
        program_repo(
            name = _repo(name, arch),
            advice = download.advice,
            declaration = declaration,
            file = file,
            sha256 = download.sha256,
            url = download.url,
        )
    front_repo(name = name, build = front_build(name, target, file, downloads.keys(), missing))
