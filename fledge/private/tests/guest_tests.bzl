"""Analysis tests of what follows the target platform's CPU."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//fledge:defs.bzl", "FledgeImageInfo", "fledge_boot_test", "fledge_kernel", "fledge_layout", "fledge_qemu_toolchain", "fledge_rootfs")

_CPUS = {
    "amd64": "x86_64",
    "arm64": "aarch64",
}

def _platform(arch):
    """The settings of a build for linux/arch, with the QEMUs of this package."""
    return {
        "//command_line_option:extra_toolchains": [str(Label(":qemu_{}_toolchain".format(a))) for a in _CPUS],
        "//command_line_option:platforms": str(Label(":linux_" + arch)),
    }

def _argument(argv, name):
    return [argv[i + 1] for i in range(len(argv) - 1) if argv[i] == name]

def _layout_impl(ctx):
    env = analysistest.begin(ctx)
    for action in analysistest.target_actions(env):
        if action.mnemonic == ctx.attr.mnemonic:
            asserts.equals(env, [ctx.attr.want], _argument(action.argv, "--platform"))
            return analysistest.end(env)
    return analysistest.fail(env, "no action " + ctx.attr.mnemonic)

_LAYOUT_ATTRS = {
    "mnemonic": attr.string(mandatory = True),
    "want": attr.string(mandatory = True),
}

_layout_amd64_test = analysistest.make(_layout_impl, attrs = _LAYOUT_ATTRS, config_settings = _platform("amd64"))
_layout_arm64_test = analysistest.make(_layout_impl, attrs = _LAYOUT_ATTRS, config_settings = _platform("arm64"))

def _boot_impl(ctx):
    env = analysistest.begin(ctx)
    spec = [json.decode(a.content) for a in analysistest.target_actions(env) if a.mnemonic == "FileWrite"][0]
    asserts.equals(env, (ctx.attr.arch, "/qemu/" + ctx.attr.arch), (spec["arch"], spec["qemu"]))
    flag = "--platforms={} ".format(Label(":linux_" + ctx.attr.arch))
    asserts.true(env, flag in spec["repeat"], spec["repeat"])
    return analysistest.end(env)

_BOOT_ATTRS = {"arch": attr.string(mandatory = True)}

_boot_amd64_test = analysistest.make(_boot_impl, attrs = _BOOT_ATTRS, config_settings = _platform("amd64"))
_boot_arm64_test = analysistest.make(_boot_impl, attrs = _BOOT_ATTRS, config_settings = _platform("arm64"))

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_FAILS_ATTRS = {"message": attr.string(mandatory = True)}

_fails_amd64_test = analysistest.make(
    _fails_impl,
    attrs = _FAILS_ATTRS,
    config_settings = _platform("amd64"),
    expect_failure = True,
)
_fails_riscv64_test = analysistest.make(
    _fails_impl,
    attrs = _FAILS_ATTRS,
    config_settings = _platform("riscv64"),
    expect_failure = True,
)

def _to_arm64_impl(settings, attr):  # buildifier: disable=unused-variable
    return {"//command_line_option:platforms": str(Label(":linux_arm64"))}

def _arm64_image_impl(ctx):
    return [ctx.attr.image[0][FledgeImageInfo]]

# An image that is for arm64, whatever the build is for.
_arm64_image = rule(
    implementation = _arm64_image_impl,
    attrs = {
        "image": attr.label(
            cfg = transition(
                implementation = _to_arm64_impl,
                inputs = [],
                outputs = ["//command_line_option:platforms"],
            ),
            providers = [FledgeImageInfo],
        ),
    },
    provides = [FledgeImageInfo],
)

def guest_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: of the suite.
    """
    for arch, cpu in (_CPUS | {"riscv64": "riscv64"}).items():
        native.platform(
            name = "linux_" + arch,
            constraint_values = ["@platforms//cpu:" + cpu, "@platforms//os:linux"],
        )
    for arch, cpu in _CPUS.items():
        fledge_qemu_toolchain(name = "qemu_" + arch, path = "/qemu/" + arch, tags = ["manual"])
        native.toolchain(
            name = "qemu_{}_toolchain".format(arch),
            target_compatible_with = ["@platforms//cpu:" + cpu],
            toolchain = ":qemu_" + arch,
            toolchain_type = "//fledge/toolchains:qemu_toolchain_type",
        )
    native.genrule(
        name = "guest_files",
        outs = ["guest.tar", "guest.toml", "guest_kernel"],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    fledge_layout(name = "guest_layout", layers = 1, layout = "guest.tar", tags = ["manual"])
    fledge_rootfs(name = "guest_image", image = "guest.tar", manifest = "guest.toml", tags = ["manual"])
    fledge_kernel(name = "guest_boot_kernel", bzimage = "guest_kernel", tags = ["manual"])
    fledge_boot_test(
        name = "guest_boot",
        expect = ["x"],
        image = ":guest_image",
        kernel = ":guest_boot_kernel",
        tags = ["manual"],
    )
    _arm64_image(name = "guest_arm64_image", image = ":guest_image", tags = ["manual"])
    fledge_boot_test(
        name = "guest_boot_of_arm64",
        expect = ["x"],
        image = ":guest_arm64_image",
        kernel = ":guest_boot_kernel",
        tags = ["manual"],
    )
    tests = []
    for arch, layout_test, boot_test in [
        ("amd64", _layout_amd64_test, _boot_amd64_test),
        ("arm64", _layout_arm64_test, _boot_arm64_test),
    ]:
        for target, mnemonic in [("guest_layout", "FledgeSplitLayout"), ("guest_image", "FledgePackLayout")]:
            tests.append("{}_is_of_{}".format(target, arch))
            layout_test(
                name = tests[-1],
                size = "small",
                mnemonic = mnemonic,
                target_under_test = target,
                want = "linux/" + arch,
            )
        tests.append("boots_with_the_qemu_of_" + arch)
        boot_test(name = tests[-1], size = "small", arch = arch, target_under_test = "guest_boot")
    tests.append("image_of_another_cpu")
    _fails_amd64_test(
        name = tests[-1],
        size = "small",
        message = ":guest_arm64_image is for arm64, but the test and its QEMU are for the target platform's CPU, amd64",
        target_under_test = "guest_boot_of_arm64",
    )
    for target in ["guest_layout", "guest_image", "guest_boot"]:
        tests.append(target + "_of_unknown_cpu")
        _fails_riscv64_test(
            name = tests[-1],
            size = "small",
            message = "tests:linux_riscv64 has no CPU that Fledge makes images for",
            target_under_test = target,
        )
    native.test_suite(name = name, tests = tests)
