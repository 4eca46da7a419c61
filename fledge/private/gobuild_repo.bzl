"""Repositories with the program tools/gobuild, which builds all others."""

load(":go_sdk.bzl", "PLATFORMS", "go_environment", "host_go")

_TIMEOUT = 600  # seconds

# What it is made of, in the standard library alone.
_PACKAGES = ["internal/cli", "internal/sparsefile", "internal/tempfile", "tools/gobuild"]

_FAILED = """tools/gobuild, which builds Fledge's programs, does not compile for {platform}: go build, exit code {code}
{stderr}"""

def _gobuild_impl(rctx):
    root = host_go(rctx)
    go_mod = rctx.path(rctx.attr._go_mod)
    for folder in _PACKAGES:
        for file in go_mod.dirname.get_child(folder).readdir():
            if file.basename.endswith(".go") and not file.basename.endswith("_test.go"):
                rctx.file("src/{}/{}".format(folder, file.basename), rctx.read(file), executable = False)
    rctx.file("src/go.mod", rctx.read(go_mod), executable = False)
    os, arch = rctx.attr.platform.split("_")
    rctx.report_progress("Building gobuild for " + rctx.attr.platform)
    done = rctx.execute(
        [
            root.get_child("bin").get_child("go"),
            "build",
            "-mod=mod",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags=-s -w -buildid=",
            "-o",
            rctx.path("gobuild"),
            "./tools/gobuild",
        ],
        # Its bytes are part of the key of each action that it runs, so nothing of the user's settings.
        environment = go_environment(rctx, root) | {
            "CGO_ENABLED": "0",
            "GOAMD64": "v1",
            "GOARCH": arch,
            "GOARM64": "v8.0",
            "GOENV": "off",
            "GOEXPERIMENT": "",
            "GOFLAGS": "",
            "GOOS": os,
            "GOPROXY": "off",
        },
        timeout = _TIMEOUT,
        working_directory = "src",
    )
    if done.return_code:
        fail(_FAILED.format(platform = rctx.attr.platform, code = done.return_code, stderr = done.stderr.strip()))
    for name in ["gocache", "gopath", "modcache", "src"]:
        rctx.delete(name)
    rctx.file("BUILD.bazel", "exports_files([\"gobuild\"], visibility = [\"//visibility:public\"])\n", executable = False)

_gobuild = repository_rule(
    implementation = _gobuild_impl,
    doc = "The program `gobuild` for a platform, built by the machine that Bazel runs on: an action needs a Go to build Go.",
    attrs = {
        "platform": attr.string(mandatory = True, values = PLATFORMS),
        "_go_mod": attr.label(default = Label("//:go.mod")),
    },
)

def gobuilds():
    """Declares the repositories `fledge_gobuild_OS_ARCH`; only what is used is made."""
    for platform in PLATFORMS:
        _gobuild(name = "fledge_gobuild_" + platform, platform = platform)
