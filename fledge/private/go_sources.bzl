"""The repository rule that gives the sources of Go programs, for go_module_binary."""

def _go_sources_impl(rctx):
    root = rctx.path(rctx.attr.go_mod).dirname
    for file in rctx.attr.files:
        rctx.symlink(root.get_child(file), file)
    rctx.symlink(rctx.attr.go_mod, "go.mod")
    rctx.file("BUILD.bazel", rctx.attr.build, executable = False)

go_sources = repository_rule(
    implementation = _go_sources_impl,
    doc = """Links to a module's files, in packages without rules_go.

A workspace that uses Fledge builds its programs from here, and so needs neither rules_go's SDK nor go_deps.
""",
    attrs = {
        "build": attr.string(mandatory = True, doc = "The BUILD file, as sources_build writes it."),
        "files": attr.string_list(mandatory = True, doc = "The files, relative to the module."),
        "go_mod": attr.label(mandatory = True, doc = "The module's go.mod."),
    },
)
