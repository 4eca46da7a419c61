"""The repository rules behind fledge.agent and fledge.busybox.

A program has one repository an architecture, which fetches the file, and one in front of them whose target chooses by
the target platform: what a build does not use is not fetched.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "get_auth")
load(":program_errors.bzl", "fetch_error")

def _program_repo_impl(rctx):
    url = rctx.attr.url
    fetched = rctx.download(
        url = [url],
        output = rctx.attr.file,
        sha256 = rctx.attr.sha256,
        executable = True,
        allow_fail = True,
        auth = get_auth(rctx, [url]),
    )
    if not fetched.success:
        fail(fetch_error(rctx.attr.declaration, url, rctx.attr.sha256, rctx.attr.file, rctx.attr.advice))
    rctx.file(
        "BUILD.bazel",
        "exports_files([{}], visibility = [\"//visibility:public\"])\n".format(repr(rctx.attr.file)),
        executable = False,
    )

program_repo = repository_rule(
    implementation = _program_repo_impl,
    doc = "Fetches a program with Bazel's own downloader.",
    attrs = {
        "advice": attr.string(
            mandatory = True,
            doc = "What to do when the file is not the one that was pinned.",
        ),
        "declaration": attr.string(
            mandatory = True,
            doc = "The tag that declares the program, for errors.",
        ),
        "file": attr.string(
            mandatory = True,
            doc = "The name of the file and of its target. --distdir finds it by this name.",
        ),
        "sha256": attr.string(
            mandatory = True,
            doc = "Its SHA-256: 64 lower case hexadecimal digits.",
        ),
        "url": attr.string(
            mandatory = True,
            doc = "Where it is.",
        ),
    },
)

def _front_repo_impl(rctx):
    rctx.file("BUILD.bazel", rctx.attr.build, executable = False)

front_repo = repository_rule(
    implementation = _front_repo_impl,
    doc = "A repository of one BUILD file. It fetches nothing.",
    attrs = {
        "build": attr.string(
            mandatory = True,
            doc = "What is in BUILD.bazel.",
        ),
    },
)
