"""The repository of the QEMUs that are installed on the machine."""

_TOOLCHAIN = """
fledge_qemu_toolchain(
    name = "qemu_{cpu}",
    path = "{path}",
)

toolchain(
    name = "qemu_{cpu}_toolchain",
    target_compatible_with = [
        "@platforms//cpu:{cpu}",
        "@platforms//os:linux",
    ],
    toolchain = ":qemu_{cpu}",
    toolchain_type = "@fledge//fledge/toolchains:qemu_toolchain_type",
)
"""

# The guest's CPU -> the variable that names its emulator.
_VARIABLES = {
    "aarch64": "FLEDGE_QEMU_ARM64",
    "x86_64": "FLEDGE_QEMU",
}

def _host_qemu_impl(ctx):
    build = 'load("@fledge//fledge:defs.bzl", "fledge_qemu_toolchain")\n'
    for cpu, variable in _VARIABLES.items():
        path = ctx.getenv(variable) or ctx.which("qemu-system-" + cpu)
        if path and not ctx.path(str(path)).exists:
            fail("{}={}: no such program".format(variable, path))
        if path:
            build += _TOOLCHAIN.format(cpu = cpu, path = path)
    ctx.file("BUILD.bazel", build)

host_qemu = repository_rule(
    implementation = _host_qemu_impl,
    doc = "Toolchains for the `qemu-system-x86_64` that FLEDGE_QEMU names or that is on PATH, and for the " +
          "`qemu-system-aarch64` that FLEDGE_QEMU_ARM64 names or that is; none for one that is missing.",
    local = True,
)
