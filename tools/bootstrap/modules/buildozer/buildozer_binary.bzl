"""Stand-in: Bazel's own tools name buildozer, which only bazel mod tidy runs."""

_buildozer = repository_rule(
    implementation = lambda ctx: ctx.file("BUILD.bazel", "exports_files([\"buildozer.exe\"])"),
)

buildozer_binary = module_extension(
    implementation = lambda _ctx: _buildozer(name = "buildozer_binary"),
)
