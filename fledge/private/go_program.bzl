"""A program of Fledge's own Go module."""

load(":go_module_binary.bzl", "go_module_binary")

def go_program(name, package, goos = "", small = False):
    """Declares a program of Fledge's Go module, built outside of rules_go and go_deps.

    Workspaces that use Fledge keep their own SDK and versions of Go modules, and the program has the same bytes in all
    of them.

    Args:
      name: the target's name.
      package: its package's folder in the module, one of those that MODULE.bazel gives go_modules.
      goos: `linux` for programs of images, else the platform's.
      small: whether it needs so little of the standard library that it is compiled faster without all of that.
    """
    go_module_binary(
        name = name,
        srcs = [Label("@fledge_sources//:" + package)],
        go_mod = Label("@fledge_sources//:go.mod"),
        goos = goos,
        modules = Label("@fledge_deps//:vendor/modules.txt"),
        package = "./" + package,
        std = None if small else Label("//fledge/private:go_std_linux" if goos else "//fledge/private:go_std"),
        vendor = Label("@fledge_deps//:vendor"),
    )
