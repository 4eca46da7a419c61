"""The repository of the QEMU that is installed on the machine."""

_TOOLCHAIN = """load("@fledge//fledge:defs.bzl", "fledge_qemu_toolchain")

fledge_qemu_toolchain(
    name = "qemu_x86_64",
    path = "{path}",
)

toolchain(
    name = "qemu_x86_64_toolchain",
    target_compatible_with = [
        "@platforms//cpu:x86_64",
        "@platforms//os:linux",
    ],
    toolchain = ":qemu_x86_64",
    toolchain_type = "@fledge//fledge/toolchains:qemu_toolchain_type",
)
"""

def _host_qemu_impl(ctx):
    path = ctx.getenv("FLEDGE_QEMU") or ctx.which("qemu-system-x86_64")
    if path and not ctx.path(str(path)).exists:
        fail("FLEDGE_QEMU={}: no such program".format(path))
    ctx.file("BUILD.bazel", _TOOLCHAIN.format(path = path) if path else "")

host_qemu = repository_rule(
    implementation = _host_qemu_impl,
    doc = "A toolchain for the `qemu-system-x86_64` that FLEDGE_QEMU names or that is on PATH; none without.",
    local = True,
)
