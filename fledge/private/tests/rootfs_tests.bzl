"""Analysis tests of fledge_rootfs and its parts: what is registered, and what is refused with which words."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//fledge:defs.bzl", "fledge_boot_test", "fledge_kernel", "fledge_layers", "fledge_layout", "fledge_rootfs")
load(":refused.bzl", "argument", "kernel_test", "refused")

def _actions_impl(ctx):
    env = analysistest.begin(ctx)
    mnemonics = [a.mnemonic for a in analysistest.target_actions(env) if a.mnemonic.startswith("Fledge")]
    asserts.equals(env, ctx.attr.mnemonics, sorted(mnemonics))
    for action in analysistest.target_actions(env):
        if action.mnemonic == "FledgeManifest":
            # The manifest names digests; reading the artifacts would make it depend on every byte of them.
            asserts.equals(env, [], [f.basename for f in action.inputs.to_list() if f.extension in ("img", "gz", "pack")])
    return analysistest.end(env)

_actions_test = analysistest.make(
    _actions_impl,
    attrs = {"mnemonics": attr.string_list(mandatory = True)},
)

def _link_impl(ctx):
    env = analysistest.begin(ctx)
    link = [a for a in analysistest.target_actions(env) if a.mnemonic == "FledgeLink"][0]
    packs = [p.rsplit("/", 1)[1] for p in argument(link.argv, "--pack")]
    asserts.equals(env, ctx.attr.packs, packs)
    for flag, value in ctx.attr.flags.items():
        asserts.equals(env, [value] if value else [], argument(link.argv, flag))
    return analysistest.end(env)

_link_test = analysistest.make(
    _link_impl,
    attrs = {
        "flags": attr.string_dict(),  # flag -> value, "" for a flag that must not be there
        "packs": attr.string_list(),
    },
)

def _fill_impl(ctx):
    env = analysistest.begin(ctx)
    actions = {a.mnemonic: a for a in analysistest.target_actions(env)}
    link, fill = actions["FledgeLink"], actions["FledgeFill"]
    asserts.equals(env, ["ext4"], argument(link.argv, "--filesystem"))
    asserts.equals(env, ["1"], argument(link.argv, "--size-buffer-mb"))
    asserts.equals(env, ["xfs"], argument(fill.argv, "--filesystem"))
    asserts.equals(env, ["300"], argument(fill.argv, "--size-buffer-mb"))
    asserts.equals(env, ["good_xfs.source.ext4", "vmlinuz", "modules.dep"], [
        path.rsplit("/", 1)[1]
        for flag in ["--source", "--kernel", "--mkfs"]
        for path in argument(fill.argv, flag)
    ])
    asserts.equals(env, ["xfs"], argument(actions["FledgeGuestInitramfs"].argv, "--for"))
    return analysistest.end(env)

_fill_test = analysistest.make(_fill_impl)

def _refused(name, message, rule = fledge_rootfs, **kwargs):
    return refused(name, message, rule, **kwargs)

def rootfs_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: of the suite.
    """
    native.genrule(
        name = "empty_files",
        outs = ["base.tar", "app.tar", "agent.bin", "site/index.html", "site/a/b.css", "modules.dep", "vmlinuz", "m.toml", "k/config", "k/modules.builtin", "k/virtio.ko", "say \"hi\""],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    fledge_layers(name = "layers", layers = ["base.tar", "app.tar"], tags = ["manual"])
    fledge_rootfs(
        name = "good",
        agent = "agent.bin",
        block_size = "64K",
        compression_level = 3,
        image = ":layers",
        manifest = "m.toml",
        mappings = {"site/index.html": "/srv/index.html"},
        tags = ["manual"],
    )
    _actions_test(
        name = "registers_one_action_a_part",
        size = "small",
        target_under_test = "good",
        # The layers' own FledgePack actions belong to the aspect on :layers.
        mnemonics = ["FledgeBootInitramfs", "FledgeLink", "FledgeManifest", "FledgeNoSbom", "FledgePackFiles", "FledgePackFiles"],
    )
    _link_test(
        name = "links_layers_then_agent_then_mappings",
        size = "small",
        target_under_test = "good",
        flags = {"--block-size": "65536", "--compression": "zstd", "--filesystem": "squashfs", "--level": "3"},
        packs = [
            "layers.0.zstd3-64k.pack",
            "layers.1.zstd3-64k.pack",
            "good.agent.zstd3-64k.pack",
            "good.mappings.zstd3-64k.pack",
        ],
    )
    fledge_layers(name = "on_layers", base = ":layers", layers = ["agent.bin"], tags = ["manual"])
    fledge_rootfs(
        name = "on_base",
        block_size = "64K",
        compression_level = 3,
        image = ":on_layers",
        manifest = "m.toml",
        tags = ["manual"],
    )
    _link_test(
        name = "shares_the_packs_of_a_base",
        size = "small",
        target_under_test = "on_base",
        flags = {"--block-size": "65536", "--compression": "zstd", "--filesystem": "squashfs", "--level": "3"},
        packs = ["layers.0.zstd3-64k.pack", "layers.1.zstd3-64k.pack", "on_layers.2.zstd3-64k.pack"],
    )
    for filesystem in ["erofs", "ext4"]:
        fledge_rootfs(
            name = "good_" + filesystem,
            agent = "agent.bin",
            filesystem = filesystem,
            image = ":layers",
            manifest = "m.toml",
            size_buffer_mb = 100 if filesystem == "ext4" else 0,
            tags = ["manual"],
            verity = filesystem == "erofs",
        )
    _link_test(
        name = "links_packs_of_erofs",
        size = "small",
        target_under_test = "good_erofs",
        flags = {"--block-size": "", "--compression": "lz4", "--filesystem": "erofs", "--size-buffer-mb": ""},
        packs = ["layers.0.lz4-erofs.pack", "layers.1.lz4-erofs.pack", "good_erofs.agent.lz4-erofs.pack"],
    )
    _link_test(
        name = "links_uncompressed_packs_into_ext4",
        size = "small",
        target_under_test = "good_ext4",
        flags = {"--compression": "none", "--filesystem": "ext4", "--size-buffer-mb": "100"},
        packs = ["layers.0.none-128k.pack", "layers.1.none-128k.pack", "good_ext4.agent.none-128k.pack"],
    )
    fledge_kernel(name = "bz_kernel", bzimage = "vmlinuz", tags = ["manual"])
    fledge_rootfs(
        name = "good_xfs",
        agent = "agent.bin",
        filesystem = "xfs",
        fill_kernel = ":bz_kernel",
        manifest = "m.toml",
        mkfs = "modules.dep",
        size_buffer_mb = 300,
        tags = ["manual"],
    )
    _fill_test(
        name = "fills_xfs_from_ext4",
        size = "small",
        target_under_test = "good_xfs",
    )
    tests = [
        "fills_xfs_from_ext4",
        "links_packs_of_erofs",
        "links_uncompressed_packs_into_ext4",
        "registers_one_action_a_part",
        "links_layers_then_agent_then_mappings",
        "shares_the_packs_of_a_base",
    ]
    for case, message, kwargs in [
        ("relative_destination", "mappings: \"srv/x\": give an absolute path", {"mappings": {"agent.bin": "srv/x"}}),
        ("climbing_destination", "mappings: \"/srv/../x\": give an absolute path", {"mappings": {"agent.bin": "/srv/../x"}}),
        ("root_destination", "mappings: \"/\": give an absolute path", {"mappings": {"agent.bin": "/"}}),
        ("quotes_in_a_name", "say \"hi\": Fledge takes no file with a double quote", {"mappings": {"say \"hi\"": "/srv/x"}}),
        ("two_to_one_place", "both go to /srv/x", {"mappings": {"agent.bin": "/srv/x", "base.tar": "/srv/x"}}),
        ("modes_without_mappings", "there are no mappings", {"agent": "agent.bin", "modes": {"/srv/x": "0600"}}),
        ("relative_mode_path", "modes: \"srv/x\": give an absolute path", {
            "mappings": {"agent.bin": "/srv/x"},
            "modes": {"srv/x": "0600"},
        }),
        ("gzip_level_10", "compression_level = 10: gzip has levels 1 to 9", {
            "agent": "agent.bin",
            "compression": "gzip",
            "compression_level": 10,
        }),
        ("xz_level", "xz has no levels; leave the attribute out", {
            "agent": "agent.bin",
            "compression": "xz",
            "compression_level": 1,
        }),
        ("erofs_with_zstd", "compression = \"zstd\": erofs can have lz4 or none", {
            "compression": "zstd",
            "filesystem": "erofs",
            "image": ":layers",
        }),
        ("ext4_with_compression", "compression = \"lz4\": ext4 holds files as they are; leave the attribute out", {
            "compression": "lz4",
            "filesystem": "ext4",
            "image": ":layers",
        }),
        ("ext4_with_blocks", "block_size is of squashfs, and filesystem = \"ext4\"; leave it out", {
            "block_size": "64K",
            "filesystem": "ext4",
            "image": ":layers",
        }),
        ("squashfs_with_buffer", "size_buffer_mb is of btrfs, ext4, xfs, and filesystem = \"squashfs\"; leave it out", {
            "agent": "agent.bin",
            "size_buffer_mb": 1,
        }),
        ("negative_buffer", "size_buffer_mb = -1: give 0 or more", {"filesystem": "ext4", "size_buffer_mb": -1}),
        ("journal_of_xfs", "journal is of ext4, and filesystem = \"xfs\"; leave it out", {"filesystem": "xfs", "journal": True}),
        ("mkfs_of_ext4", "mkfs is of btrfs, xfs, and filesystem = \"ext4\"; leave it out", {
            "agent": "agent.bin",
            "filesystem": "ext4",
            "mkfs": "vmlinuz",
        }),
        ("verity_of_ext4", "verity is of erofs, squashfs, and filesystem = \"ext4\"; leave it out", {
            "filesystem": "ext4",
            "verity": True,
        }),
        ("root_hash_without_verity", "verity_root_hash says where the root hash of verity = True is", {"verity_root_hash": "cmdline"}),
        ("nothing_inside", "give image, agent or mappings", {}),
        ("image_that_is_none", "none of them is index.json", {"image": ":empty_files"}),
    ]:
        tests.append(_refused(case, message, manifest = "m.toml", **kwargs))
    tests.append(_refused("kernel_without_file", "give bzimage, vmlinux, modules or config", rule = fledge_kernel))
    fledge_kernel(
        name = "whole_kernel",
        config = "k/config",
        modules = ["k/modules.builtin", "k/virtio.ko"],
        tags = ["manual"],
    )
    fledge_kernel(name = "built_in_kernel", config = "k/config", tags = ["manual"])
    for case, kernel, flags, inputs in [
        (
            "checks_the_kernel",
            ":whole_kernel",
            {"--compression": "lz4", "--kernel-config": "config", "--kernel-modules": "k"},
            ["config", "modules.builtin", "virtio.ko"],
        ),
        ("checks_a_kernel_without_modules", ":built_in_kernel", {"--kernel-config": "config", "--kernel-modules": ""}, ["config"]),
        ("checks_no_kernel", None, {"--kernel-config": "", "--kernel-modules": ""}, []),
    ]:
        fledge_rootfs(
            name = case + "_subject",
            agent = "agent.bin",
            compression = "lz4",
            kernel = kernel,
            manifest = "m.toml",
            tags = ["manual"],
        )
        kernel_test(
            name = case,
            size = "small",
            target_under_test = case + "_subject",
            flags = flags,
            inputs = inputs,
            mnemonic = "FledgeBootInitramfs",
        )
        tests.append(case)
    tests.append(_refused(
        "modules_without_root",
        "no modules.builtin among the 1 files",
        rule = fledge_kernel,
        bzimage = "vmlinuz",
        modules = ["modules.dep"],
    ))
    tests.append(_refused("layers_without_any", "give base, layers or both", rule = fledge_layers))
    tests.append(_refused("layout_of_nothing", "give the number of", rule = fledge_layout, layout = "base.tar", layers = 0))
    fledge_kernel(name = "elf_kernel", vmlinux = "vmlinuz", tags = ["manual"])
    tests.append(_refused(
        "boot_without_bzimage",
        "has no bzimage, which QEMU boots",
        rule = fledge_boot_test,
        image = ":good",
        kernel = ":elf_kernel",
        expect = ["x"],
    ))
    tests.append(_refused(
        "boot_without_expectation",
        "nothing to look for",
        rule = fledge_boot_test,
        image = ":good",
        kernel = ":bz_kernel",
    ))
    native.test_suite(name = name, tests = tests)
