"""A mock of rules_oci's module extension."""

def _pull_impl(rctx):
    source = "docker://{}@{}".format(rctx.attr.image, rctx.attr.digest)
    result = rctx.execute(["skopeo", "copy", "--quiet", "--insecure-policy", source, "oci:layout:latest"])
    if result.return_code:
        fail(result.stderr)
    rctx.file("BUILD.bazel", """filegroup(
    name = "{}",
    srcs = ["layout"],
    visibility = ["//visibility:public"],
)
""".format(rctx.attr.target))

_pull = repository_rule(
    implementation = _pull_impl,
    attrs = {
        "digest": attr.string(mandatory = True),
        "image": attr.string(mandatory = True),
        "target": attr.string(mandatory = True),
    },
)

def _oci_impl(module_ctx):
    for module in module_ctx.modules:
        for tag in module.tags.pull:
            _pull(name = tag.name, digest = tag.digest, image = tag.image, target = tag.name)

oci = module_extension(
    implementation = _oci_impl,
    tag_classes = {
        "pull": tag_class(attrs = {
            "digest": attr.string(mandatory = True),
            "image": attr.string(mandatory = True),
            "name": attr.string(mandatory = True),
        }),
    },
)
