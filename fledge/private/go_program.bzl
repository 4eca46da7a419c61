"""A program of Fledge's own Go module."""

load(":go_module_binary.bzl", "go_module_binary")

# Repositories that MODULE.bazel has of go_modules: sources and dependencies.
_REPOSITORIES = {
    "cli": ("@fledge_cli_sources", "@fledge_cli_deps"),
    "rules": ("@fledge_sources", "@fledge_deps"),
    "sbom": ("@fledge_sbom_sources", "@fledge_sbom_deps"),
}

def go_program(name, package, part = "rules", goos = "", small = False, **kwargs):
    """Declares a program of Fledge's Go module, built outside of rules_go and go_deps.

    Workspaces that use Fledge keep their own SDK and versions of Go modules, and the program has the same bytes in all
    of them.

    Args:
      name: the target's name.
      package: its package's folder in the module, one of those that MODULE.bazel gives go_modules.
      part: what it is of: the `rules`, the fledge command (`cli`), or `sbom`. Workspaces that use the rules fetch the
        dependencies of the other two only when they build those.
      goos: `linux` for programs of images, else the platform's.
      small: whether it needs so little of the standard library that it is compiled faster without all of that.
      **kwargs: what all rules have, as `tags`.
    """
    sources, deps = _REPOSITORIES[part]
    go_module_binary(
        name = name,
        srcs = [Label(sources + "//:" + package)],
        go_mod = Label(sources + "//:go.mod"),
        goos = goos,
        modules = Label(deps + "//:vendor/modules.txt"),
        package = "./" + package,
        std = None if small else Label("//fledge/private:go_std_linux" if goos else "//fledge/private:go_std"),
        vendor = Label(deps + "//:vendor"),
        **kwargs
    )
