"""Analysis tests of oci_image_layers."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//fledge/private:image_layers.bzl", "oci_image_layers")
load("//fledge/private:providers.bzl", "FledgeLayersInfo")
load(":refused.bzl", "refused")

_TAR = "application/vnd.oci.image.layer.v1.tar"

def _provides_impl(ctx):
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    info = target[FledgeLayersInfo]
    asserts.equals(
        env,
        [("one.tar", "sha256:1", _TAR), ("two.tar", "sha256:2", _TAR + "+gzip"), ("one.tar", "sha256:1", _TAR)],
        [(layer.file.basename, layer.digest, layer.media_type) for layer in info.layers],
    )
    asserts.equals(env, "config.json", info.config.basename)
    asserts.equals(
        env,
        ["one.tar", "two.tar", "config.json"],
        [f.basename for f in target[DefaultInfo].files.to_list()],
    )
    asserts.equals(env, [], analysistest.target_actions(env))
    return analysistest.end(env)

_provides_test = analysistest.make(_provides_impl)

def _file(name, srcs):
    native.filegroup(name = name, srcs = srcs, tags = ["manual"])

def _subject(name, **kwargs):
    oci_image_layers(name = name, tags = ["manual"], **kwargs)

def image_layers_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: the suite's name.
    """
    native.genrule(
        name = name + "_files",
        outs = ["one.tar", "two.tar", "config.json"],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    _file(name + "_0", ["one.tar"])
    _file(name + "_1", ["two.tar"])
    _file(name + "_2", ["one.tar"])
    _file(name + "_both", ["one.tar", "two.tar"])
    _subject(
        name + "_good",
        config = "config.json",
        layer_digests = ["sha256:1", "sha256:2", "sha256:1"],
        layers = [name + "_0", name + "_1", name + "_2"],
        media_types = [_TAR, _TAR + "+gzip", _TAR],
    )
    _provides_test(
        size = "small",
        name = name + "_provides",
        target_under_test = name + "_good",
    )
    native.test_suite(
        name = name,
        tests = [
            name + "_provides",
            refused(
                name + "_short_fails",
                "not 1, 0 and 1",
                oci_image_layers,
                layer_digests = [],
                layers = [name + "_0"],
                media_types = [_TAR],
            ),
            refused(
                name + "_wide_fails",
                "must be one file, not 2",
                oci_image_layers,
                layer_digests = [""],
                layers = [name + "_both"],
                media_types = [""],
            ),
        ],
    )
