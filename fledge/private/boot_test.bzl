"""The fledge_boot_test rule."""

load(":compression.bzl", "WRITABLE_FILESYSTEMS")
load(":guest.bzl", "GUEST_ATTR", "guest_arch")
load(":image_info.bzl", "FledgeImageInfo")
load(":kernel_info.bzl", "FledgeKernelInfo")

_QEMU_TOOLCHAIN = Label("//fledge/toolchains:qemu_toolchain_type")

def _platform_flag(ctx):
    platform = ctx.fragments.platform
    return "" if platform.platform == platform.host_platform else "--platforms={} ".format(platform.platform)

def _fledge_boot_test_impl(ctx):
    image = ctx.attr.image[FledgeImageInfo]
    kernel = ctx.attr.kernel[FledgeKernelInfo]
    if not kernel.bzimage:
        fail("{}: kernel: {} has no bzimage, which QEMU boots".format(ctx.label, ctx.attr.kernel.label))
    if image.arch != guest_arch(ctx):
        fail("{}: image: {} is for {}, but the test and its QEMU are for the target platform's CPU, {}".format(
            ctx.label,
            ctx.attr.image.label,
            image.arch,
            guest_arch(ctx),
        ))
    if not ctx.attr.expect and not ctx.attr.http_port:
        fail("{}: nothing to look for: give expect (texts on the console) or http_port".format(ctx.label))
    toolchain = ctx.exec_groups["test"].toolchains[_QEMU_TOOLCHAIN]
    files = [kernel.bzimage, image.initramfs]
    spec = {
        "arch": image.arch,
        "cmdline": ctx.attr.cmdline,
        "cpus": ctx.attr.cpus,
        "expect": ctx.attr.expect,
        "initramfs": image.initramfs.short_path,
        "kernel": kernel.bzimage.short_path,
        "memory_mb": ctx.attr.memory_mb,
        "repeat": "bazel test {}--test_output=all {}".format(_platform_flag(ctx), ctx.label),
        "timeout_seconds": ctx.attr.boot_timeout,
    }
    if image.rootfs:
        spec["rootfs"] = image.rootfs.short_path
        spec["writes"] = image.filesystem in WRITABLE_FILESYSTEMS
        files.append(image.rootfs)
    if image.manifest:
        spec["manifest"] = image.manifest.short_path
        files.append(image.manifest)
    if ctx.attr.http_port:
        spec["http"] = {
            "expect": ctx.attr.http_expect,
            "path": ctx.attr.http_path,
            "port": ctx.attr.http_port,
        }
    qemu_files = depset()
    if toolchain:
        spec["qemu"] = toolchain.program.path
        qemu_files = toolchain.program.files

    spec_file = ctx.actions.declare_file(ctx.label.name + ".boot.json")
    ctx.actions.write(spec_file, json.encode_indent(spec) + "\n")
    runner = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = runner, target_file = ctx.executable._boot, is_executable = True)
    return [
        DefaultInfo(
            executable = runner,
            runfiles = ctx.runfiles(files + [spec_file], transitive_files = qemu_files)
                .merge(ctx.attr._boot[DefaultInfo].default_runfiles),
        ),
        RunEnvironmentInfo(environment = {"FLEDGE_BOOT_SPEC": spec_file.short_path}),
    ]

fledge_boot_test = rule(
    implementation = _fledge_boot_test_impl,
    doc = """Boots an image in a virtual machine and looks for signs of life.

```starlark
fledge_boot_test(
    name = "web_boots",
    image = ":web",
    kernel = "@kernel",
    expect = ["nginx: ready"],
    http_port = 80,
    http_expect = "Welcome",
)
```

The machine is the QEMU of a registered `fledge_qemu_toolchain` for the target platform's CPU, else the one that
`FLEDGE_QEMU` (for arm64 `FLEDGE_QEMU_ARM64`) names or that is on `PATH`, with KVM where it works, else with emulation.
It gets the initramfs, a root file system as its first disk and the manifest on the kernel command line, as the runtime
gives them. The disk is read-only for squashfs and EROFS; what a guest writes to ext4, xfs and btrfs ends with the machine.

The test passes as soon as every text of `expect` has been on the console and the HTTP answer has come, as far as they
are asked for; at least one of the two must be. It fails when the machine ends before that, or after `boot_timeout`. A
failure shows the end of the console and the commands that repeat the test and the boot; `--test_output=streamed` shows
the console as it runs.
""",
    test = True,
    attrs = GUEST_ATTR | {
        "boot_timeout": attr.int(
            default = 120,
            doc = "Seconds until the test gives up. Keep it below the test's own `timeout` (300 by default), so " +
                  "that the console is shown.",
        ),
        "cmdline": attr.string(
            doc = "Further kernel parameters, separated by spaces, for example `overlay_size=64M`.",
        ),
        "cpus": attr.int(
            default = 1,
            doc = "Processors of the machine.",
        ),
        "expect": attr.string_list(
            doc = "Texts that must come up on the console, each within one line, in any order.",
        ),
        "http_expect": attr.string(
            doc = "Text that must be in the body of the HTTP answer; empty takes any. Needs `http_port`.",
        ),
        "http_path": attr.string(
            default = "/",
            doc = "Path of the HTTP request; begins with `/`.",
        ),
        "http_port": attr.int(
            doc = "TCP port in the guest that must answer an HTTP GET with status 200; 0 sends none.",
        ),
        "image": attr.label(
            mandatory = True,
            providers = [FledgeImageInfo],
            doc = "The image to boot, a `fledge_rootfs` or `fledge_initramfs`. Give that the same `kernel`, unless " +
                  "the kernel has all it needs built in.",
        ),
        "kernel": attr.label(
            mandatory = True,
            providers = [FledgeKernelInfo],
            doc = "The kernel to boot it with, a `fledge_kernel` with a `bzimage`; `fledge.kernel` of the module " +
                  "extension gives the one that the environment names.",
        ),
        "memory_mb": attr.int(
            default = 512,
            doc = "Memory of the machine in MiB.",
        ),
        "_boot": attr.label(
            default = Label("//tools/bin:boot"),
            executable = True,
            cfg = config.exec("test"),  # it runs beside the guest, whose processor may be another
        ),
    },
    fragments = ["platform"],
    exec_groups = {
        "test": exec_group(toolchains = [config_common.toolchain_type(_QEMU_TOOLCHAIN, mandatory = False)]),
    },
)
