"""The QEMU toolchain of boot tests."""

QemuInfo = provider(
    doc = "A QEMU system emulator for the guest's processor.",
    fields = {
        "files": "depset of File: what it needs in the test's runfiles, empty for one installed on the machine",
        "path": "string: the program, absolute or relative to the runfiles root",
    },
)

def _qemu_toolchain_impl(ctx):
    if bool(ctx.file.qemu) == bool(ctx.attr.path):
        fail("{}: give either qemu (a label) or path (of an installed program)".format(ctx.label))
    if ctx.attr.path:
        info = QemuInfo(path = ctx.attr.path, files = depset())
    else:
        info = QemuInfo(
            path = ctx.file.qemu.short_path,
            files = depset([ctx.file.qemu], transitive = [ctx.attr.qemu[DefaultInfo].default_runfiles.files]),
        )
    return [platform_common.ToolchainInfo(qemu = info)]

fledge_qemu_toolchain = rule(
    implementation = _qemu_toolchain_impl,
    doc = """Declares a QEMU for boot tests.

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
            doc = "Absolute path of an installed `qemu-system-*`. It is not an input of the test.",
        ),
        "qemu": attr.label(
            allow_single_file = True,
            cfg = "exec",
            doc = "The program as a target of one file. Its runfiles, firmware for instance, come along.",
        ),
    },
)
