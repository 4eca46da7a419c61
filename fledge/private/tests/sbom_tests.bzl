"""Analysis tests of the output groups sbom and provenance."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//fledge:defs.bzl", "fledge_initramfs", "fledge_layers", "fledge_rootfs")

_FLAG = str(Label("//fledge/settings:sbom"))

def _names(files):
    return sorted([f.basename for f in files.to_list()])

def _on_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, [ctx.attr.file + ".spdx.json"], _names(target[OutputGroupInfo].sbom))
    asserts.equals(env, [ctx.attr.file + ".provenance.json"], _names(target[OutputGroupInfo].provenance))
    defaults = _names(target[DefaultInfo].files)
    asserts.false(env, ctx.attr.file + ".spdx.json" in defaults, "who does not ask gets an SBOM")
    for mnemonic in ["FledgeSbom", "FledgeProvenance"]:
        action = [a for a in analysistest.target_actions(env) if a.mnemonic == mnemonic][0]
        inputs = [f.basename for f in action.inputs.to_list()]
        for name in ctx.attr.inputs:
            asserts.true(env, name in inputs, "{}: {} is not among the inputs {}".format(mnemonic, name, inputs))
        asserts.equals(env, [], [name for name in inputs if name.endswith(".img") or name.endswith(".gz") or name.endswith(".pack")])
    return analysistest.end(env)

_on_test = analysistest.make(
    _on_impl,
    attrs = {
        "file": attr.string(mandatory = True),  # name of the outputs without what they end with
        "inputs": attr.string_list(mandatory = True),
    },
    config_settings = {_FLAG: True},
)

def _off_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    asserts.equals(env, 1, len(target[OutputGroupInfo].sbom.to_list()))
    asserts.equals(env, 1, len(target[OutputGroupInfo].provenance.to_list()))
    actions = [a for a in analysistest.target_actions(env) if a.mnemonic == "FledgeNoSbom"]
    asserts.equals(env, 1, len(actions))
    asserts.true(env, "--@fledge//fledge/settings:sbom" in " ".join(actions[0].argv), "the failure does not name the flag")
    asserts.equals(env, [], [f.basename for f in actions[0].inputs.to_list()])
    return analysistest.end(env)

_off_test = analysistest.make(_off_impl)

def sbom_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: of the suite.
    """
    native.genrule(
        name = "sbom_files",
        outs = ["parts/base.tar", "parts/agent", "parts/conf", "parts/m.toml", "parts/busybox", "parts/init"],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    fledge_layers(name = "sbom_layers", layers = ["parts/base.tar"], tags = ["manual"])
    fledge_rootfs(
        name = "with_rootfs",
        agent = "parts/agent",
        image = ":sbom_layers",
        manifest = "parts/m.toml",
        mappings = {"parts/conf": "/etc/conf"},
        tags = ["manual"],
    )
    fledge_initramfs(
        name = "with_initramfs",
        agent = None,
        busybox = "parts/busybox",
        image = "parts/base.tar",
        init = "parts/init",
        manifest = "parts/m.toml",
        tags = ["manual"],
    )
    _on_test(
        name = "rootfs_reads_layers_and_digests",
        size = "small",
        file = "with_rootfs",
        inputs = ["base.tar", "agent", "conf", "m.toml", "init", "with_rootfs.img.sha256", "with_rootfs.initramfs.cpio.gz.sha256"],
        target_under_test = "with_rootfs",
    )
    _on_test(
        name = "initramfs_reads_layers_and_digests",
        size = "small",
        file = "with_initramfs",
        inputs = ["base.tar", "busybox", "init", "m.toml", "with_initramfs.cpio.gz.sha256"],
        target_under_test = "with_initramfs",
    )
    _off_test(name = "rootfs_without_the_flag", size = "small", target_under_test = "with_rootfs")
    _off_test(name = "initramfs_without_the_flag", size = "small", target_under_test = "with_initramfs")
    native.test_suite(
        name = name,
        tests = [
            "initramfs_reads_layers_and_digests",
            "initramfs_without_the_flag",
            "rootfs_reads_layers_and_digests",
            "rootfs_without_the_flag",
        ],
    )
