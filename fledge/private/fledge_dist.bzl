"""The fledge command and its man pages as people download them; Fledge alone uses these rules."""

def _linux_impl(_settings, _attr):
    return {
        arch: {"//command_line_option:platforms": str(Label("//fledge/platforms:linux_" + arch))}
        for arch in ["amd64", "arm64"]
    }

# The programs for machines, whatever the command itself is for.
_linux = transition(
    implementation = _linux_impl,
    inputs = [],
    outputs = ["//command_line_option:platforms"],
)

def _fledge_dist_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + "/fledge")
    args = ctx.actions.args()
    args.add("--executable", ctx.file.program)
    args.add("--go-sum", ctx.file.go_sum)
    inputs = [ctx.file.program, ctx.file.go_sum]
    for name, targets in [("init", ctx.split_attr.init), ("guest", ctx.split_attr.guest), ("fill", ctx.split_attr.fill)]:
        for arch, target in targets.items():
            file = target[DefaultInfo].files.to_list()[0]
            args.add("--{}-{}".format(name, arch), file)
            inputs.append(file)
    args.add("--out", out)
    ctx.actions.run(
        mnemonic = "FledgeDist",
        progress_message = "Putting %{output} together",
        executable = ctx.executable._mkdist,
        arguments = [args],
        inputs = inputs,
        outputs = [out],
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return [DefaultInfo(executable = out, files = depset([out]))]

fledge_dist = rule(
    implementation = _fledge_dist_impl,
    doc = """Makes the fledge command that is one file: the program for the target platform, with init and guests for Linux, amd64 and
arm64, behind it.

The output is `NAME/fledge`.
""",
    attrs = {
        "fill": attr.label(cfg = _linux, mandatory = True, doc = "The guest that fills xfs and btrfs."),
        "go_sum": attr.label(allow_single_file = ["go.sum"], mandatory = True, doc = "Of the program's module."),
        "guest": attr.label(cfg = _linux, mandatory = True, doc = "The guest that solves Dockerfiles."),
        "init": attr.label(cfg = _linux, mandatory = True, doc = "Fledge's init."),
        "program": attr.label(allow_single_file = True, mandatory = True, doc = "The command without them."),
        "_mkdist": attr.label(default = Label("//tools/bin:mkdist"), cfg = "exec", executable = True),
    },
    executable = True,
)

def _fledge_man_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("man")
    args.add_all([out], before_each = "--dir", expand_directories = False, format_each = "%s/man1")
    ctx.actions.run(
        mnemonic = "FledgeMan",
        progress_message = "Writing the man pages %{output}",
        executable = ctx.executable._fledge,
        arguments = [args],
        outputs = [out],
        execution_requirements = {"supports-path-mapping": "1"},
    )
    return [DefaultInfo(files = depset([out]))]

fledge_man = rule(
    implementation = _fledge_man_impl,
    doc = "Writes the man pages of all commands to the folder `NAME/man1`.",
    attrs = {
        "_fledge": attr.label(default = Label("//tools/bin:fledge"), cfg = "exec", executable = True),
    },
)
