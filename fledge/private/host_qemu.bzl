"""The repository of the virtual machine monitors that are installed on the machine."""

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

_CLOUD_HYPERVISOR = """
fledge_cloud_hypervisor_toolchain(
    name = "cloud_hypervisor",
    path = "{path}",
)

toolchain(
    name = "cloud_hypervisor_toolchain",
    target_compatible_with = ["@platforms//os:linux"],
    toolchain = ":cloud_hypervisor",
    toolchain_type = "@fledge//fledge/toolchains:cloud_hypervisor_toolchain_type",
)
"""

# The guest's CPU -> the variable that names its emulator.
_VARIABLES = {
    "aarch64": "FLEDGE_QEMU_ARM64",
    "x86_64": "FLEDGE_QEMU",
}

def _find(ctx, variable, program):
    """Path of the program that variable names, else of the one on PATH, else None."""
    path = ctx.getenv(variable) or ctx.which(program)
    if path and not ctx.path(str(path)).exists:
        fail("{}={}: no such program".format(variable, path))
    return path

def _host_qemu_impl(ctx):
    build = 'load("@fledge//fledge:defs.bzl", "fledge_cloud_hypervisor_toolchain", "fledge_qemu_toolchain")\n'
    for cpu, variable in _VARIABLES.items():
        path = _find(ctx, variable, "qemu-system-" + cpu)
        if path:
            build += _TOOLCHAIN.format(cpu = cpu, path = path)
    path = _find(ctx, "CLOUDHYPERVISOR", "cloud-hypervisor")
    if path:
        build += _CLOUD_HYPERVISOR.format(path = path)
    ctx.file("BUILD.bazel", build)

host_qemu = repository_rule(
    implementation = _host_qemu_impl,
    doc = "Toolchains for the `qemu-system-x86_64` that FLEDGE_QEMU names or that is on PATH, for the " +
          "`qemu-system-aarch64` that FLEDGE_QEMU_ARM64 names or that is, and for the `cloud-hypervisor` that " +
          "CLOUDHYPERVISOR names or that is; none for one that is missing.",
    local = True,
)
