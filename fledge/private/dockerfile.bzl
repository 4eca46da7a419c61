"""The fledge_dockerfile macro and its rule."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load(":build_context.bzl", "CONTEXT_ATTRS", "context_args")
load(":daemon_info.bzl", "FledgeDaemonInfo")
load(":guest.bzl", "GUEST_ATTR", "guest_arch")
load(":machine.bzl", "MACHINE_ATTRS", "MACHINE_EXEC_GROUPS", "MACHINE_GROUP", "machine_args")
load(":mappings.bzl", "check_source")
load(":packs.bzl", "layout_of")
load(":providers.bzl", "FledgeLayersInfo")
load(":solved_info.bzl", "FledgeSolvedInfo")
load(":solver_info.bzl", "FledgeSolverInfo")

def _add_image(ctx, args, target, refs):
    """Adds one base image to the list of them; gives the files that it needs."""
    line = json.encode({"refs": refs})[:-1].replace("%", "%%")
    if FledgeLayersInfo not in target:
        layout = layout_of(target)
        for file in layout.files:
            check_source(ctx.label, "base_images", file)
        args.add_all(
            layout.files,
            expand_directories = False,
            format_each = line + ',"layout":"%s"}',
            map_each = layout.map_each,
        )
        return layout.inputs
    info = target[FledgeLayersInfo]
    if not info.config:
        fail("{}: it has no config, which a Dockerfile builds upon: give fledge_layers one".format(target.label))
    for file in [info.config] + [layer.file for layer in info.layers]:
        check_source(ctx.label, "base_images", file)
    args.add_all([info.config], format_each = line + ',"config":"%s"}')
    for layer in info.layers:
        rest = json.encode({"digest": layer.digest, "media_type": layer.media_type})[1:].replace("%", "%%")
        args.add_all([layer.file], format_each = '{"layer":"%s",' + rest)
    return depset([info.config] + [layer.file for layer in info.layers])

def _add_cache(ctx, args):
    """Adds the flags about the cache between solves, if there is one."""
    directory = ctx.attr._solve_cache[BuildSettingInfo].value
    if not directory:
        return
    if not directory.startswith("/"):
        fail("@fledge//fledge/settings:solve_cache={}: give an absolute path".format(directory))
    args.add("--cache", directory)
    args.add("--cache-key", str(ctx.label))
    args.add("--cache-mb", ctx.attr._solve_cache_mb[BuildSettingInfo].value)

def _add_machine(ctx, args):
    """Adds the flags about the machine; gives the files that it needs."""
    solver = ctx.attr.solver[FledgeSolverInfo]
    args.add("--mode", "vm")
    files = machine_args(ctx, args, solver.kernel, solver.initramfs)
    args.add("--memory-mb", ctx.attr.memory_mb)
    args.add("--cpus", ctx.attr.cpus)
    args.add("--scratch-mb", ctx.attr.scratch_mb)
    args.add("--timeout", "{}s".format(ctx.attr.solve_timeout))
    _add_cache(ctx, args)
    return files

def _add_daemon(ctx, args):
    """Adds the flags about a daemon; gives the files that it needs."""
    daemon = ctx.attr.solver[FledgeDaemonInfo]
    args.add("--mode", "daemon")
    args.add("--addr", daemon.address)
    args.add_all(daemon.flags)
    args.add("--guest", daemon.program)
    args.add("--timeout", "{}s".format(ctx.attr.solve_timeout))
    return depset([daemon.program])

def _add_secrets(ctx, args):
    for flag, secrets in [("--secret", ctx.attr.secrets), ("--ssh", ctx.attr.ssh)]:
        for target, ids in secrets.items():
            files = target[DefaultInfo].files.to_list()
            if len(files) != 1:
                fail("{}: {}: {} gives {} files; a secret is one".format(ctx.label, flag[2:], target.label, len(files)))
            for id in ids.split(" "):
                args.add_all(files, before_each = flag, format_each = id.replace("%", "%%") + "=%s")
    return depset(ctx.files.secrets + ctx.files.ssh)

def _requirements(ctx, daemon):
    requirements = {}
    if ctx.attr._solve_cache[BuildSettingInfo].value:
        requirements["no-remote-exec"] = "1"  # the directory is on this machine
    hermetic = ctx.attr._hermetic[BuildSettingInfo].value
    if daemon:
        if hermetic:
            fail(("{}: FLEDGE_BUILDKIT_MODE=daemon, and @fledge//fledge/settings:hermetic refuses that: a daemon is no input of " +
                  "the build. Use a machine, or build without the setting").format(ctx.label))
        requirements["no-remote-exec"] = "1"  # elsewhere the address is another daemon's, or nobody's
    if ctx.attr.network:
        if hermetic:
            fail(("{}: network = True, and @fledge//fledge/settings:hermetic refuses that: declare what the build downloads as " +
                  "inputs of the context, or build without the setting").format(ctx.label))
        requirements["requires-network"] = "1"
    elif daemon and not daemon.address.startswith("unix:"):
        requirements["requires-network"] = "1"  # to reach the daemon, whose steps have none
    else:
        requirements["block-network"] = "1"
    if ctx.attr.secrets or ctx.attr.ssh:
        requirements["no-remote"] = "1"  # secrets would get into the remote cache, as inputs
    return requirements

def _dockerfile_impl(ctx):
    layout = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("--progress", "quiet")
    args.add("--arch", guest_arch(ctx))
    args.add("--dockerfile", ctx.file.dockerfile.basename)
    args.add("--target", ctx.attr.target)
    for name, value in sorted(ctx.attr.build_args.items()):
        args.add("--build-arg", "{}={}".format(name, value))
    for name, value in sorted(ctx.attr.labels.items()):
        args.add("--label", "{}={}".format(name, value))
    if ctx.attr.network:
        args.add("--network")
    daemon = ctx.attr.solver[FledgeDaemonInfo] if FledgeDaemonInfo in ctx.attr.solver else None
    inputs = [_add_daemon(ctx, args) if daemon else _add_machine(ctx, args), _add_secrets(ctx, args)]
    args.add_all([layout], before_each = "--out", expand_directories = False)

    files, context_inputs = context_args(ctx)
    images = ctx.actions.args()
    images.set_param_file_format("multiline")
    images.use_param_file("--images=%s", use_always = True)
    for target, refs in ctx.attr.base_images.items():
        inputs.append(_add_image(ctx, images, target, refs.split(" ")))

    cpus, memory_mb = ctx.attr.cpus, ctx.attr.memory_mb
    ctx.actions.run(
        mnemonic = "FledgeSolve",
        progress_message = "Solving the Dockerfile of %{label}",
        executable = ctx.executable._solver_tool,
        arguments = [args, files, images],
        inputs = depset(transitive = inputs + [context_inputs]),
        outputs = [layout],
        exec_group = MACHINE_GROUP,
        execution_requirements = _requirements(ctx, daemon),
        use_default_shell_env = daemon != None,  # docker-container:// runs docker, which is on PATH
        resource_set = _resources_of(cpus, memory_mb),
    )
    return [
        DefaultInfo(files = depset([layout])),
        FledgeSolvedInfo(layout = layout),
    ]

def _small(_os, _inputs):
    return {"cpu": 2, "memory": 2048}

def _large(_os, _inputs):
    return {"cpu": 4, "memory": 8192}

def _resources_of(cpus, memory_mb):
    # Bazel takes top-level functions alone, so there are two sizes.
    return _large if cpus > 2 or memory_mb > 2048 else _small

_dockerfile = rule(
    implementation = _dockerfile_impl,
    doc = "What the macro fledge_dockerfile declares.",
    attrs = CONTEXT_ATTRS | GUEST_ATTR | MACHINE_ATTRS | {
        "base": attr.label(allow_files = True),
        "base_images": attr.label_keyed_string_dict(allow_files = True),
        "build_args": attr.string_dict(),
        "cpus": attr.int(default = 2),
        "dockerfile": attr.label(allow_single_file = True, mandatory = True),
        "labels": attr.string_dict(),
        "memory_mb": attr.int(default = 2048),
        "network": attr.bool(),
        "scratch_mb": attr.int(default = 16384),
        "secrets": attr.label_keyed_string_dict(allow_files = True),
        "solve_timeout": attr.int(default = 3600),
        "solver": attr.label(
            default = Label("@fledge_buildkit//:solver"),
            providers = [[FledgeSolverInfo], [FledgeDaemonInfo]],
        ),
        "ssh": attr.label_keyed_string_dict(allow_files = True),
        "target": attr.string(),
        "_hermetic": attr.label(default = Label("//fledge/settings:hermetic")),
        "_solve_cache": attr.label(default = Label("//fledge/settings:solve_cache")),
        "_solve_cache_mb": attr.label(default = Label("//fledge/settings:solve_cache_mb")),
        "_solver_tool": attr.label(default = Label("//tools/bin:solver"), executable = True, cfg = config.exec(MACHINE_GROUP)),
    },
    exec_groups = MACHINE_EXEC_GROUPS,
    provides = [FledgeSolvedInfo],
)

_ID = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

def secret_id_error(id):
    """Says what is wrong with the id of a secret, which is part of a command line; None when it is right."""
    if not id or [c for c in id.elems() if c not in _ID]:
        return "{}: an id has letters, digits, _, . and - alone".format(repr(id))
    return None

def _by_id(what, name, by_id):
    """The same as _by_label for secrets."""
    for error in [secret_id_error(id) for id in by_id]:
        if error:
            fail("{}: {}: {}".format(name, what, error))
    return _by_label(what, name, by_id)

def _by_label(what, name, by_key):
    """Turns name -> label into label -> names, separated by blanks, as a rule takes it."""
    labels = {}
    for key, label in by_key.items():
        if not key or " " in key:
            fail("{}: {}: {} is empty or has a blank".format(name, what, repr(key)))
        labels.setdefault(label, []).append(key)
    return {label: " ".join(keys) for label, keys in labels.items()}

def fledge_dockerfile(
        name,
        dockerfile = "Dockerfile",
        context = [],
        context_mappings = {},
        modes = {},
        base_images = {},
        base = None,
        target = "",
        build_args = {},
        labels = {},
        secrets = {},
        ssh = {},
        network = False,
        solver = None,
        memory_mb = 2048,
        cpus = 2,
        scratch_mb = 16384,
        solve_timeout = 3600,
        **kwargs):
    """Builds an OCI image from a Dockerfile, with BuildKit in a virtual machine.

    ```starlark
    fledge_dockerfile(
        name = "app_oci",
        dockerfile = "Dockerfile",
        context = glob(["app/**"]),
        base_images = {"alpine:3.22": "@alpine"},
        build_args = {"VERSION": "1.2"},
        target = "release",
    )

    fledge_rootfs(
        name = "app",
        image = ":app_oci",
        manifest = "manifest.toml",
        agent = "@kestrel",
    )
    ```

    Makes an OCI image layout, the directory `NAME`, in one action `FledgeSolve`. It needs no root, no daemon and no
    network: `FROM` and `COPY --from` find the images of `base_images` alone. The same inputs give the same bytes: new files
    have the time of the build argument `SOURCE_DATE_EPOCH`, by default 1970. Layers of the base keep their digests, and
    fledge_rootfs and fledge_initramfs share their packs with other images on the same base. docs/dockerfile.md tells more.

    Args:
      name: of the target, and of the layout.
      dockerfile: the Dockerfile: a label.
      context: the files of the build context: labels, usually `glob(["**"])`. Each has the path that it has in this package.
        A `.dockerignore` among them counts, or `NAME.dockerignore` beside the Dockerfile `NAME`. Bazel keeps no modes: files
        have 0644, and outputs of rules that are programs 0755, unless `modes` says otherwise.
      context_mappings: files of other packages and outputs of rules: label to path in the context, as the mappings of
        fledge_rootfs but relative.
      modes: path in the context to octal mode, for example `{"entrypoint.sh": "0755"}`.
      base_images: what `FROM` may name: reference as in the Dockerfile (`"alpine:3.22"`, or with a digest) to label: a target
        of fledge.image, fledge_layers with a config, another fledge_dockerfile, an OCI layout or tar.
      base: which of `base_images`, by its reference, the finished image is built upon, if that is known: its layers are then
        packed apart, once for all images on it. Default: the only one, if there is one. When it is wrong nothing breaks, but its
        layers are packed for nothing: `""` is none, for a last stage that is on `scratch` or on another stage's files.
      target: the stage to build; the last one by default.
      build_args: values of `ARG`.
      labels: further labels of the image.
      secrets: for `RUN --mount=type=secret`: id to label of a file. Its content gets into no output and no log; the action runs
        and is cached on this machine only.
      ssh: for `RUN --mount=type=ssh`: id (`"default"`) to label of a private key without a passphrase.
      network: whether `RUN` and `ADD` may use the network. The result is then no longer a function of the inputs;
        `--@fledge//fledge/settings:hermetic` refuses it.
      solver: the machine, a fledge_solver. Default: one with the kernel that `FLEDGE_KERNEL_BZIMAGE` names; with
        `FLEDGE_BUILDKIT_MODE=daemon` the buildkitd at `FLEDGE_BUILDKIT_ADDR` in its place (docs/dockerfile-daemon.md).
      memory_mb: memory of the machine in MiB.
      cpus: processors of the machine.
      scratch_mb: swap space of the machine in MiB, where what does not fit into memory goes; a sparse file.
      solve_timeout: seconds after which the solve is given up.
      **kwargs: what every rule has, such as `visibility` and `tags`.
    """
    if base == None and len(base_images) == 1:
        base = base_images.keys()[0]
    if base and base not in base_images:
        fail("{}: base = {}: it is none of base_images, which are {}".format(name, repr(base), ", ".join(base_images.keys())))
    _dockerfile(
        name = name,
        base = base_images[base] if base else None,
        base_images = _by_label("base_images", name, base_images),
        build_args = build_args,
        context = context,
        context_mappings = context_mappings,
        cpus = cpus,
        dockerfile = dockerfile,
        labels = labels,
        memory_mb = memory_mb,
        modes = modes,
        network = network,
        scratch_mb = scratch_mb,
        secrets = _by_id("secrets", name, secrets),
        solve_timeout = solve_timeout,
        solver = solver,
        ssh = _by_id("ssh", name, ssh),
        target = target,
        **kwargs
    )

def image_or_dockerfile(name, image, dockerfile, context, base_images, base, target, build_args, common):
    """Gives the image of a macro that takes a Dockerfile instead of one.

    Args:
      name: of the macro's target; the Dockerfile's is NAME.oci.
      image: the image, or None.
      dockerfile: as in fledge_dockerfile, or None.
      context: the same.
      base_images: the same.
      base: the same.
      target: the same.
      build_args: the same.
      common: what every rule has.

    Returns:
      a label, or None.
    """
    if not dockerfile:
        if context or base_images or base or target or build_args:
            fail("{}: context, base_images, base, target and build_args are a Dockerfile's: give dockerfile too".format(name))
        return image
    if image:
        fail("{}: image and dockerfile: give one of them".format(name))
    fledge_dockerfile(
        name = name + ".oci",
        base = base,
        base_images = base_images,
        build_args = build_args,
        context = context,
        dockerfile = dockerfile,
        target = target,
        **common
    )
    return ":{}.oci".format(name)
