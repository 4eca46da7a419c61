"""A program of Fledge's own Go module."""

load(":go_module_binary.bzl", "go_module_binary")

# Repositories that MODULE.bazel has of go_modules: sources and dependencies.
_RULES = ("@fledge_sources", "@fledge_deps")
_CLI = ("@fledge_cli_sources", "@fledge_cli_deps")

def go_program(name, package, cli = False, goos = "", small = False, **kwargs):
    """Declares a program of Fledge's Go module, built outside of rules_go and go_deps.

    Workspaces that use Fledge keep their own SDK and versions of Go modules, and the program has the same bytes in all
    of them.

    Args:
      name: the target's name.
      package: its package's folder in the module, one of those that MODULE.bazel gives go_modules.
      cli: whether it is of the fledge command, whose dependencies no workspace that uses the rules fetches.
      goos: `linux` for programs of images, else the platform's.
      small: whether it needs so little of the standard library that it is compiled faster without all of that.
      **kwargs: what all rules have, as `tags`.
    """
    sources, deps = _CLI if cli else _RULES
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
