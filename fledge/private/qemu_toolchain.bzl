"""The toolchains of programs that run virtual machines."""

VmmInfo = provider(
    doc = "A program that runs virtual machines.",
    fields = {
        "file": "File: the program, or None for one installed on the machine",
        "files": "depset of File: what it needs beside itself and itself, empty for one installed on the machine",
        "path": "string: the program, absolute or relative to the runfiles root",
    },
)

def _vmm_toolchain(ctx, attribute):
    file, target = getattr(ctx.file, attribute), getattr(ctx.attr, attribute)
    if bool(file) == bool(ctx.attr.path):
        fail("{}: give either {} (a label) or path (of an installed program)".format(ctx.label, attribute))
    if ctx.attr.path:
        info = VmmInfo(file = None, files = depset(), path = ctx.attr.path)
    else:
        info = VmmInfo(
            file = file,
            files = depset([file], transitive = [target[DefaultInfo].default_runfiles.files]),
            path = file.short_path,
        )
    return [platform_common.ToolchainInfo(program = info)]

def _qemu_toolchain_impl(ctx):
    return _vmm_toolchain(ctx, "qemu")

def _cloud_hypervisor_toolchain_impl(ctx):
    return _vmm_toolchain(ctx, "cloud_hypervisor")

fledge_qemu_toolchain = rule(
    implementation = _qemu_toolchain_impl,
    doc = """Declares a QEMU for boot tests and for solving Dockerfiles.

```starlark
fledge_qemu_toolchain(
    name = "qemu",
    qemu = "@my_qemu//:qemu-system-x86_64",
)

toolchain(
    name = "qemu_toolchain",
    target_compatible_with = ["@platforms//cpu:x86_64"],
    toolchain = ":qemu",
    toolchain_type = "@fledge//fledge/toolchains:qemu_toolchain_type",
)
```

`register_toolchains("//:qemu_toolchain")` in MODULE.bazel puts it before those that Fledge registers, which are the
`qemu-system-x86_64` that `FLEDGE_QEMU` names or that is on `PATH`, and the `qemu-system-aarch64` that
`FLEDGE_QEMU_ARM64` names or that is, each for guests of its CPU. Give either `qemu` or `path`.
""",
    attrs = {
        "path": attr.string(
            doc = "Absolute path of an installed `qemu-system-*`. It is not an input of tests and actions.",
        ),
        "qemu": attr.label(
            allow_single_file = True,
            cfg = "exec",
            doc = "The program as a target of one file. Its runfiles, firmware for instance, come along.",
        ),
    },
)

fledge_cloud_hypervisor_toolchain = rule(
    implementation = _cloud_hypervisor_toolchain_impl,
    doc = """Declares a Cloud Hypervisor for solving Dockerfiles.

```starlark
fledge_cloud_hypervisor_toolchain(
    name = "cloud_hypervisor",
    cloud_hypervisor = "@my_cloud_hypervisor//:cloud-hypervisor",
)

toolchain(
    name = "cloud_hypervisor_toolchain",
    toolchain = ":cloud_hypervisor",
    toolchain_type = "@fledge//fledge/toolchains:cloud_hypervisor_toolchain_type",
)
```

`register_toolchains("//:cloud_hypervisor_toolchain")` in MODULE.bazel puts it before the one that Fledge registers, which is
the program that `CLOUDHYPERVISOR` names or the `cloud-hypervisor` on `PATH`. It is used where KVM works. Give either
`cloud_hypervisor` or `path`.
""",
    attrs = {
        "cloud_hypervisor": attr.label(
            allow_single_file = True,
            cfg = "exec",
            doc = "The program as a target of one file, usually its static release binary.",
        ),
        "path": attr.string(
            doc = "Absolute path of an installed `cloud-hypervisor`. It is not an input of actions.",
        ),
    },
)
