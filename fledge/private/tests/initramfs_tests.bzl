"""Analysis tests of fledge_initramfs: what is linked in which order, and what is refused with which words."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//fledge:defs.bzl", "fledge_initramfs", "fledge_kernel", "fledge_layers")
load(":refused.bzl", "argument", "kernel_test", "refused")

def _link_impl(ctx):
    env = analysistest.begin(ctx)
    link = [a for a in analysistest.target_actions(env) if a.mnemonic == "FledgeLinkInitramfs"][0]
    packs = [
        link.argv[i][2:] + " " + link.argv[i + 1].rsplit("/", 1)[1]
        for i in range(len(link.argv))
        if link.argv[i] in ("--pack", "--fill-pack")
    ]
    asserts.equals(env, ctx.attr.packs, packs)
    asserts.equals(env, [ctx.attr.requires], argument(link.argv, "--require"))
    asserts.equals(env, [], argument(link.argv, "--block-size"))
    outputs = [f.basename for f in analysistest.target_under_test(env)[DefaultInfo].files.to_list()]
    asserts.equals(env, ctx.attr.outputs, outputs)
    for action in analysistest.target_actions(env):
        if action.mnemonic == "FledgeManifest":
            # The manifest names the digest; reading the artifact would make it depend on every byte of it.
            asserts.equals(env, [], [f.basename for f in action.inputs.to_list() if f.extension in ("gz", "zst", "pack")])
    return analysistest.end(env)

_link_test = analysistest.make(
    _link_impl,
    attrs = {
        "outputs": attr.string_list(),
        "packs": attr.string_list(),
        "requires": attr.string(),
    },
)

def initramfs_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: of the suite.
    """
    native.genrule(
        name = "initramfs_files",
        outs = ["i/base.tar", "i/app.tar", "i/agent.bin", "i/busybox.bin", "i/init.bin", "i/vmlinuz", "i/config", "i/m.toml"],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    fledge_layers(name = "initramfs_layers", layers = ["i/base.tar", "i/app.tar"], tags = ["manual"])
    for case, attrs in {
        "initramfs_custom": {"init": "i/init.bin", "busybox": None, "compression": "zstd"},
        "initramfs_full": {
            "agent": "i/agent.bin",
            "busybox": "i/busybox.bin",
            "compression_level": 6,
            "image": ":initramfs_layers",
            "mappings": {"i/app.tar": "/srv/app.tar"},
        },
        "initramfs_inside": {"init": "/usr/bin/x", "busybox": None, "image": ":initramfs_layers", "compression": "none"},
        "initramfs_none": {"init": "none", "busybox": None, "image": ":initramfs_layers"},
    }.items():
        fledge_initramfs(name = case, manifest = "i/m.toml", tags = ["manual"], **attrs)
    tests = []
    for subject, packs, requires, extension in [
        (
            "initramfs_full",
            [
                "pack initramfs_layers.0.gzip6-initramfs.pack",
                "pack initramfs_layers.1.gzip6-initramfs.pack",
                "fill-pack initramfs_full.busybox.pack",
                "pack initramfs_full.init.pack",
                "pack initramfs_full.agent.gzip6-initramfs.pack",
                "pack initramfs_full.mappings.gzip6-initramfs.pack",
            ],
            "/bin/kestrel",
            "cpio.gz",
        ),
        (
            "initramfs_custom",
            ["pack initramfs_custom.init.pack", "pack initramfs_custom.custom-init.zstd-initramfs.pack"],
            "/sbin/init",
            "cpio.zst",
        ),
        (
            "initramfs_inside",
            [
                "pack initramfs_layers.0.none-initramfs.pack",
                "pack initramfs_layers.1.none-initramfs.pack",
                "pack initramfs_inside.init.pack",
            ],
            "/usr/bin/x",
            "cpio",
        ),
        (
            "initramfs_none",
            ["pack initramfs_layers.0.gzip-initramfs.pack", "pack initramfs_layers.1.gzip-initramfs.pack"],
            "/init",
            "cpio.gz",
        ),
    ]:
        test = subject + "_links"
        _link_test(
            name = test,
            size = "small",
            target_under_test = subject,
            outputs = ["{}.{}".format(subject, extension), subject + ".manifest.json"],
            packs = packs,
            requires = requires,
        )
        tests.append(test)
    fledge_kernel(name = "initramfs_kernel", bzimage = "i/vmlinuz", config = "i/config", tags = ["manual"])
    fledge_initramfs(
        name = "initramfs_checked",
        agent = "i/agent.bin",
        busybox = None,
        compression = "xz",
        kernel = ":initramfs_kernel",
        manifest = "i/m.toml",
        tags = ["manual"],
    )
    kernel_test(
        name = "initramfs_checks_the_kernel",
        size = "small",
        target_under_test = "initramfs_checked",
        flags = {"--compression": "xz", "--kernel-config": "config"},
        inputs = ["config"],
        mnemonic = "FledgePackInit",
    )
    tests.append("initramfs_checks_the_kernel")
    for case, message, attrs in [
        ("agent_and_custom_init", "the agent belongs to Fledge's own init", {"agent": "i/agent.bin", "init": "i/init.bin"}),
        ("agent_and_no_init", "the agent belongs to Fledge's own init", {"agent": "i/agent.bin", "init": "none"}),
        ("kernel_and_no_init", "its modules are loaded by Fledge's init", {"init": "none", "kernel": ":initramfs_kernel"}),
        ("climbing_init", "init: \"/x/../y\": give an absolute path", {"init": "/x/../y"}),
        ("initramfs_of_nothing", "give image, busybox or mappings", {"init": "none"}),
        ("initramfs_level", "lz4 has no levels", {"agent": "i/agent.bin", "compression": "lz4", "compression_level": 3}),
        ("initramfs_modes", "there are no mappings", {"agent": "i/agent.bin", "modes": {"/x": "0600"}}),
    ]:
        tests.append(refused(case, message, fledge_initramfs, manifest = "i/m.toml", busybox = None, **attrs))
    native.test_suite(name = name, tests = tests)
