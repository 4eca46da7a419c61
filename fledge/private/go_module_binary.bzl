"""Go programs of modules with dependencies of their own, each built in one action, outside of the workspace's go_deps."""

load(":guest.bzl", "GUEST_ATTR", "guest_arch")

_CPUS = 2

def _resources(_os, _inputs):
    # The compiler of the largest packages takes most of the memory, in MB.
    return {"cpu": _CPUS, "memory": 1500}

def _platform_os(ctx):
    macos = ctx.attr._macos[platform_common.ConstraintValueInfo]
    return "darwin" if ctx.target_platform_has_constraint(macos) else "linux"

def _system_args(ctx):
    args = ctx.actions.args()
    args.add("--sdk", ctx.file._sdk)
    args.add("--os", ctx.attr.goos or _platform_os(ctx))
    args.add("--arch", guest_arch(ctx))
    args.add("--jobs", _CPUS)
    return args

def _go_std_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".zip")
    args = _system_args(ctx)
    args.add("--make-std")
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgeGoStd",
        progress_message = "Compiling Go's standard library",
        executable = ctx.executable._gobuild,
        arguments = [args],
        inputs = [ctx.file._sdk],
        outputs = [out],
        resource_set = _resources,
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return [DefaultInfo(files = depset([out]))]

_ATTRS = GUEST_ATTR | {
    "goos": attr.string(
        values = ["", "linux"],
        doc = "The system it is for, whatever the target platform's: programs of images are for Linux.",
    ),
    "_gobuild": attr.label(
        default = Label("//fledge/private:gobuild"),
        allow_single_file = True,
        executable = True,
        cfg = "exec",
    ),
    "_macos": attr.label(default = Label("@platforms//os:macos")),
    "_sdk": attr.label(default = Label("//fledge/private:go_sdk"), allow_single_file = True, cfg = "exec"),
}

go_std = rule(
    implementation = _go_std_impl,
    doc = "Compiles the standard library for the target platform, once for all programs that have it as `std`.",
    attrs = _ATTRS,
)

def _go_module_binary_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    args = _system_args(ctx)
    args.add("--go-mod", ctx.file.go_mod)
    args.add("--modules", ctx.file.modules)
    args.add("--package", ctx.attr.package)
    args.add("--out", out)
    sources = [ctx.file.go_mod, ctx.file.modules] + ctx.files.srcs + ctx.files.vendor
    inputs = [ctx.file._sdk]
    if ctx.file.std:
        args.add("--std", ctx.file.std)
        inputs.append(ctx.file.std)
    if ctx.file.parent_go_mod:
        args.add("--parent-go-mod", ctx.file.parent_go_mod)
        inputs.append(ctx.file.parent_go_mod)
        sources += ctx.files.parent_srcs
    files = ctx.actions.args()
    files.add_all(sources, uniquify = True)
    files.use_param_file("--files=%s", use_always = True)
    files.set_param_file_format("multiline")
    ctx.actions.run(
        mnemonic = "FledgeGoModule",
        progress_message = "Building %{label} and all the Go packages it needs",
        executable = ctx.executable._gobuild,
        arguments = [args, files],
        inputs = inputs + sources,
        outputs = [out],
        resource_set = _resources,
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return [DefaultInfo(executable = out, files = depset([out]))]

go_module_binary = rule(
    implementation = _go_module_binary_impl,
    doc = """Builds a static program for the target platform from a Go module with dependencies of its own.

The bytes depend on the sources, go.mod, the vendored packages and Fledge's Go SDK, on nothing of the workspace or of
the machine. The sandbox needs no network.
""",
    attrs = _ATTRS | {
        "go_mod": attr.label(allow_single_file = ["go.mod"], mandatory = True, doc = "The module's go.mod."),
        "modules": attr.label(
            allow_single_file = ["modules.txt"],
            mandatory = True,
            doc = "`vendor/modules.txt` of a go_vendor repository.",
        ),
        "package": attr.string(default = ".", doc = "The package of the program, as `go build` takes it."),
        "parent_go_mod": attr.label(
            allow_single_file = ["go.mod"],
            doc = "The go.mod of the module around this one, which its go.mod replaces.",
        ),
        "parent_srcs": attr.label_list(
            allow_files = True,
            doc = "Packages of the module around this one. They may need the standard library and each other.",
        ),
        "srcs": attr.label_list(allow_files = True, mandatory = True, doc = "The module's files."),
        "std": attr.label(
            allow_single_file = [".zip"],
            doc = "The standard library, a go_std for the same system; it saves time. Without it the program's action compiles " +
                  "what it needs of it, which is less for a small program.",
        ),
        "vendor": attr.label(allow_files = True, mandatory = True, doc = "The packages of a go_vendor repository."),
    },
    executable = True,
)
