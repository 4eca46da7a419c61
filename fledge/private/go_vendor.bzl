"""The repository rule that fetches what a Go module needs, for go_module_binary."""

load(":go_imports.bzl", "is_standard", "module_path", "within")
load(":go_sdk.bzl", "go_environment", "host_go")

_TIMEOUT = 1800  # seconds

# Of an error: go names every package that a missing module has.
_MAX_LINES = 12

_BUILD = """package(default_visibility = ["//visibility:public"])

exports_files(["vendor/modules.txt"])

filegroup(
    name = "vendor",
    srcs = glob(["vendor/**"]),
)
"""

_FAILED = """the Go modules of {module} could not be fetched: go {command}, exit code {code}
{stderr}
Every module has to be what {go_sum} says. Where this machine does not reach the modules, set GOPROXY to a module \
proxy that it reaches (GOPRIVATE, HTTPS_PROXY, NO_PROXY and ~/.netrc count as they do for go); after a change of \
{go_mod}, run `go mod tidy` beside it."""

def _write_module(rctx):
    """Writes a stand-in that imports what the module does: an edit that imports nothing new fetches nothing."""
    go_mod = rctx.read(rctx.attr.go_mod)
    parent = module_path(rctx.read(rctx.attr.parent_go_mod)) if rctx.attr.parent_go_mod else None
    folder = "src/" + rctx.attr.folder
    rctx.file(folder + "/go.mod", go_mod, executable = False)
    rctx.file(folder + "/go.sum", rctx.read(rctx.attr.go_sum), executable = False)
    if parent:
        rctx.file("src/go.mod", rctx.read(rctx.attr.parent_go_mod), executable = False)
    imports = []
    for path in rctx.attr.imports:
        if is_standard(path) or within(path, module_path(go_mod)):
            continue
        imports.append(path)
        if parent and within(path, parent):
            # The parent's sources are inputs of the build; here it is enough that the package is there.
            rctx.file("src{}/doc.go".format(path.removeprefix(parent)), "package parent\n", executable = False)
    lines = ["import _ \"{}\"\n".format(path) for path in sorted(imports)]
    rctx.file(folder + "/imports.go", "package imports\n\n" + "".join(lines), executable = False)
    return folder, parent

def _without_progress(stderr):
    return [line for line in stderr.strip().split("\n") if not line.startswith("go: downloading ")]

def _run_go(rctx, folder, args):
    root = host_go(rctx)

    result = rctx.execute(
        [root.get_child("bin").get_child("go")] + args,
        working_directory = folder,
        environment = go_environment(rctx, root) | {
            "GOFLAGS": "-mod=readonly -modcacherw",
            "GOSUMDB": "off",  # go.sum has every digest
        },
        timeout = _TIMEOUT,
    )
    if result.return_code:
        fail(_FAILED.format(
            module = rctx.attr.go_mod,
            command = " ".join([str(arg) for arg in args[:2]]),
            code = result.return_code,
            stderr = "\n".join(_without_progress(result.stderr)[:_MAX_LINES]),
            go_mod = rctx.attr.go_mod,
            go_sum = rctx.attr.go_sum,
        ))

def _go_vendor_impl(rctx):
    folder, parent = _write_module(rctx)
    rctx.report_progress("Fetching the Go modules of {}".format(rctx.attr.go_mod))
    _run_go(rctx, folder, ["mod", "vendor", "-o", rctx.path("vendor")])
    if parent:
        rctx.delete("vendor/" + parent)
    for name in ["gocache", "gopath", "modcache", "src"]:
        rctx.delete(name)

    # They would make packages of folders, which glob does not enter.
    names = ["(", "-name", "BUILD", "-o", "-name", "BUILD.bazel", ")"]
    done = rctx.execute(["find", "vendor"] + names + ["-exec", "rm", "-rf", "{}", "+"])
    if done.return_code:
        fail("find: " + done.stderr)
    rctx.file("BUILD.bazel", _BUILD, executable = False)

go_vendor = repository_rule(
    implementation = _go_vendor_impl,
    doc = """Fetches the packages that a Go module imports, directly or not, in the versions that its go.mod selects.

Nothing of it gets into the workspace's go_deps. go.sum pins every module; `vendor` has the packages as `go mod vendor`
lays them out, for all platforms, without those of the parent module.
""",
    attrs = {
        "folder": attr.string(
            doc = "The module's folder in its parent.",
        ),
        "go_mod": attr.label(mandatory = True, doc = "The module's go.mod."),
        "go_sum": attr.label(mandatory = True, doc = "The module's go.sum."),
        "imports": attr.string_list(mandatory = True, doc = "What the module's packages import."),
        "parent_go_mod": attr.label(doc = "The go.mod of the module around it, which its go.mod replaces."),
    },
)
