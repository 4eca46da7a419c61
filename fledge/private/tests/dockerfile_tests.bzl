"""Analysis tests of fledge_dockerfile and of the rules that take a Dockerfile."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts", "unittest")
load("//fledge:defs.bzl", "fledge_dockerfile", "fledge_initramfs", "fledge_kernel", "fledge_layers", "fledge_rootfs")
load("//fledge/private:build_context.bzl", "path_in_package")
load("//fledge/private:daemon_solver.bzl", "fledge_daemon_solver")
load("//fledge/private:dockerfile.bzl", "secret_id_error")
load("//fledge/private:kernel_info.bzl", "FledgeKernelInfo")
load("//fledge/private:solver_info.bzl", "FledgeSolverInfo")
load(":refused.bzl", "argument", "refused")

def _stand_in_impl(ctx):
    return [FledgeSolverInfo(initramfs = ctx.file.initramfs, kernel = ctx.attr.kernel[FledgeKernelInfo])]

# A fledge_solver without the guest, which takes minutes to build.
_stand_in_solver = rule(
    implementation = _stand_in_impl,
    attrs = {
        "initramfs": attr.label(allow_single_file = True),
        "kernel": attr.label(providers = [FledgeKernelInfo]),
    },
)

def _solve(target_actions):
    return [a for a in target_actions if a.mnemonic == "FledgeSolve"][0]

def _inputs_impl(ctx):
    env = analysistest.begin(ctx)
    action = _solve(analysistest.target_actions(env))
    names = [f.basename for f in action.inputs.to_list()]
    for name in ["Dockerfile", "base.tar", "config.json", "bzImage", "initramfs", "secret", "nested.txt", "Dockerfile.dockerignore"]:
        asserts.true(env, name in names, "{} is an input; there are {}".format(name, names))
    argv = action.argv
    asserts.equals(env, ["A=1 2", "B=%s"], argument(argv, "--build-arg"))
    asserts.equals(env, ["release"], argument(argv, "--target"))
    asserts.equals(env, ["Dockerfile"], argument(argv, "--dockerfile"))
    asserts.equals(env, ["vm"], argument(argv, "--mode"))
    asserts.equals(env, ["auto"], argument(argv, "--vmm"))
    asserts.equals(env, ["key"], [a.split("=")[0] for a in argument(argv, "--secret")])
    asserts.true(env, "--network" not in argv)
    asserts.true(env, "--cache" not in argv)
    asserts.equals(env, 1, len(action.outputs.to_list()))
    lines = [json.decode(a) for a in argv if a.startswith("{") and "dest" in a]
    asserts.equals(
        env,
        {"/context/Dockerfile.dockerignore": False, "/context/boot/initramfs": False, "/context/sub/nested.txt": False} |
        {"/dockerfile/Dockerfile": False, "/dockerfile/Dockerfile.dockerignore": False},
        {line["dest"].replace(ctx.attr.files, ""): line["executable"] for line in lines},
    )
    return analysistest.end(env)

_inputs_test = analysistest.make(_inputs_impl, attrs = {"files": attr.string()})

def _path_impl(ctx):
    env = unittest.begin(ctx)
    here, other = struct(workspace_name = ""), struct(workspace_name = "other+")
    for package, owner, path, want in [
        ("app", here, "app/sub/x", "sub/x"),
        ("app", here, "apple/x", None),
        ("", here, "app/x", "app/x"),
        ("app", other, "../other+/app/x", None),
        ("", other, "../other+/app/x", None),
    ]:
        label = struct(workspace_name = "", package = package)
        asserts.equals(env, want, path_in_package(label, struct(owner = owner, short_path = path)), package + " " + path)
    label = struct(workspace_name = "other+", package = "app")
    asserts.equals(env, "x", path_in_package(label, struct(owner = other, short_path = "../other+/app/x")))
    return unittest.end(env)

_path_test = unittest.make(_path_impl)

def _secret_id_impl(ctx):
    env = unittest.begin(ctx)
    for id in ["", "a b", "a=b", "a,b", "ä"]:
        asserts.equals(env, repr(id) + ": an id has letters, digits, _, . and - alone", secret_id_error(id))
    for id in ["default", "NPM_TOKEN", "a.b-c_1"]:
        asserts.equals(env, None, secret_id_error(id))
    return unittest.end(env)

_secret_id_test = unittest.make(_secret_id_impl)

def _packs_impl(ctx):
    env = analysistest.begin(ctx)
    actions = analysistest.target_actions(env)
    link = [a for a in actions if a.mnemonic.startswith("FledgeLink")][0]
    packs = argument(link.argv, "--pack")

    # The base's layer has a pack of its own, whose name does not tell of this image; the rest is one folder.
    asserts.equals(env, ctx.attr.packs, [p.split("/")[-1].split(".")[0] + ("/" if p.endswith(".packs") else "") for p in packs][:2])
    return analysistest.end(env)

def _file_base_impl(ctx):
    env = analysistest.begin(ctx)
    names = [f.basename for f in _solve(analysistest.target_actions(env)).inputs.to_list()]
    asserts.true(env, "base.tar" in names, "base.tar is an input; there are {}".format(names))
    return analysistest.end(env)

_file_base_test = analysistest.make(_file_base_impl)

_packs_test = analysistest.make(_packs_impl, attrs = {"packs": attr.string_list()})

def _hermetic_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, "network = True, and @fledge//fledge/settings:hermetic refuses that")
    return analysistest.end(env)

_hermetic_test = analysistest.make(
    _hermetic_impl,
    config_settings = {str(Label("//fledge/settings:hermetic")): True},
    expect_failure = True,
)

def _network_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.true(env, "--network" in _solve(analysistest.target_actions(env)).argv)
    return analysistest.end(env)

_network_test = analysistest.make(_network_impl)

def _daemon_impl(ctx):
    env = analysistest.begin(ctx)
    action = _solve(analysistest.target_actions(env))
    argv = action.argv
    asserts.equals(env, ["daemon"], argument(argv, "--mode"))
    asserts.equals(env, [ctx.attr.address], argument(argv, "--addr"))
    asserts.equals(env, ctx.attr.keys, argument(argv, "--tls-key"))
    asserts.equals(env, 1, len(argument(argv, "--guest")))
    asserts.equals(env, [], argument(argv, "--kernel"))
    asserts.true(env, "initramfs" not in [f.basename for f in action.inputs.to_list()], "no machine, and no guest for one")
    return analysistest.end(env)

_daemon_test = analysistest.make(_daemon_impl, attrs = {"address": attr.string(), "keys": attr.string_list()})

def _daemon_hermetic_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, "FLEDGE_BUILDKIT_MODE=daemon, and @fledge//fledge/settings:hermetic refuses that")
    return analysistest.end(env)

_daemon_hermetic_test = analysistest.make(
    _daemon_hermetic_impl,
    config_settings = {str(Label("//fledge/settings:hermetic")): True},
    expect_failure = True,
)

def _daemon_tests(name, dockerfile):
    """Declares the tests of a daemon in place of a machine; gives their names."""
    tests = []
    for kind, address, tls in [
        ("unix", "unix:///run/buildkit/buildkitd.sock", {}),
        ("tcp", "tcp://there:1234", {"tls_ca": "/ca.pem", "tls_cert": "/cert.pem", "tls_key": "/key.pem"}),
    ]:
        fledge_daemon_solver(name = "{}_{}_solver".format(name, kind), address = address, tags = ["manual"], **tls)
        subject = "{}_{}_subject".format(name, kind)
        fledge_dockerfile(name = subject, dockerfile = dockerfile, solver = "{}_{}_solver".format(name, kind), tags = ["manual"])
        tests.append("{}_{}".format(name, kind))
        _daemon_test(name = tests[-1], size = "small", address = address, keys = tls.values()[2:], target_under_test = subject)
    tests.append(name + "_hermetic")
    _daemon_hermetic_test(name = tests[-1], size = "small", target_under_test = name + "_unix_subject")
    return tests

def _cache_impl(ctx):
    env = analysistest.begin(ctx)
    argv = _solve(analysistest.target_actions(env)).argv
    asserts.equals(env, ["/var/cache/fledge"], argument(argv, "--cache"))
    asserts.equals(env, [str(analysistest.target_under_test(env).label)], argument(argv, "--cache-key"))
    asserts.equals(env, ["100"], argument(argv, "--cache-mb"))
    return analysistest.end(env)

_cache_test = analysistest.make(
    _cache_impl,
    config_settings = {
        str(Label("//fledge/settings:solve_cache")): "/var/cache/fledge",
        str(Label("//fledge/settings:solve_cache_mb")): 100,
    },
)

def _relative_cache_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, "solve_cache=cache: give an absolute path")
    return analysistest.end(env)

_relative_cache_test = analysistest.make(
    _relative_cache_impl,
    config_settings = {str(Label("//fledge/settings:solve_cache")): "cache"},
    expect_failure = True,
)

def dockerfile_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: the suite's name.
    """
    native.genrule(
        name = name + "_files",
        outs = [name + "_files/" + f for f in [
            "Dockerfile",
            "Dockerfile.dockerignore",
            "base.tar",
            "config.json",
            "bzImage",
            "initramfs",
            "secret",
            "sub/nested.txt",
            "sub/say \"hi\"",
        ]],
        cmd = "touch $(OUTS)",
        tags = ["manual"],
    )
    files = name + "_files/"
    fledge_kernel(name = name + "_kernel", bzimage = files + "bzImage", tags = ["manual"])
    _stand_in_solver(name = name + "_solver", initramfs = files + "initramfs", kernel = name + "_kernel", tags = ["manual"])
    fledge_layers(name = name + "_base", config = files + "config.json", layers = [files + "base.tar"], tags = ["manual"])
    fledge_layers(name = name + "_plain", layers = [files + "base.tar"], tags = ["manual"])
    common = {
        "base_images": {"base:1": name + "_base", "base:latest": name + "_base"},
        "dockerfile": files + "Dockerfile",
        "solver": name + "_solver",
    }
    fledge_dockerfile(
        name = name + "_full",
        base = "base:1",
        build_args = {"A": "1 2", "B": "%s"},
        context = [files + "Dockerfile.dockerignore", files + "sub/nested.txt"],
        context_mappings = {files + "initramfs": "boot/"},
        modes = {"boot/initramfs": "0700"},
        secrets = {"key": files + "secret"},
        target = "release",
        tags = ["manual"],
        **common
    )
    _path_test(name = name + "_path", size = "small")
    _secret_id_test(name = name + "_secret_id", size = "small")
    _inputs_test(name = name + "_inputs", size = "small", files = files, target_under_test = name + "_full")
    _cache_test(name = name + "_cache", size = "small", target_under_test = name + "_full")
    _relative_cache_test(name = name + "_relative_cache", size = "small", target_under_test = name + "_full")
    fledge_dockerfile(
        name = name + "_on_file",
        base_images = {"file:1": files + "base.tar"},
        dockerfile = files + "Dockerfile",
        solver = name + "_solver",
        tags = ["manual"],
    )
    _file_base_test(name = name + "_file_base", size = "small", target_under_test = name + "_on_file")
    fledge_dockerfile(name = name + "_networked", network = True, tags = ["manual"], **common)
    _network_test(name = name + "_network", size = "small", target_under_test = name + "_networked")
    _hermetic_test(name = name + "_hermetic", size = "small", target_under_test = name + "_networked")
    for kind, rule, more in [("rootfs", fledge_rootfs, {}), ("initramfs", fledge_initramfs, {"busybox": None})]:
        rule(
            name = "{}_{}".format(name, kind),
            agent = files + "bzImage",
            image = name + "_full",
            manifest = "m.toml",
            tags = ["manual"],
            **more
        )
        _packs_test(
            name = "{}_{}_packs".format(name, kind),
            size = "small",
            packs = [name + "_base", name + "_full/"],
            target_under_test = "{}_{}".format(name, kind),
        )
    fledge_dockerfile(
        name = name + "_without_base",
        base = "",
        base_images = {"base:1": name + "_base"},
        dockerfile = files + "Dockerfile",
        solver = name + "_solver",
        tags = ["manual"],
    )
    fledge_rootfs(
        name = name + "_alone",
        agent = files + "bzImage",
        image = name + "_without_base",
        manifest = "m.toml",
        tags = ["manual"],
    )
    _packs_test(
        name = name + "_alone_packs",
        size = "small",
        packs = [name + "_without_base/", name + "_alone"],
        target_under_test = name + "_alone",
    )
    native.test_suite(
        name = name,
        tests = _daemon_tests(name + "_daemon", files + "Dockerfile") + [
            name + "_path",
            name + "_secret_id",
            name + "_inputs",
            name + "_alone_packs",
            name + "_cache",
            name + "_relative_cache",
            name + "_file_base",
            name + "_network",
            name + "_hermetic",
            name + "_rootfs_packs",
            name + "_initramfs_packs",
            refused(
                "dockerfile_context_elsewhere",
                "is not in this package; give it with context_mappings",
                fledge_dockerfile,
                context = ["//fledge:defs.bzl"],
                **common
            ),
            refused(
                "dockerfile_absolute_mapping",
                "give a path relative to the context",
                fledge_dockerfile,
                context_mappings = {files + "secret": "/etc/secret"},
                **common
            ),
            refused(
                "dockerfile_mapping_outside",
                "context_mappings: \"../secret\": give a path relative to the context, without",
                fledge_dockerfile,
                context_mappings = {files + "secret": "../secret"},
                **common
            ),
            refused(
                "dockerfile_quotes_in_a_name",
                "say \"hi\": Fledge takes no file with a double quote",
                fledge_dockerfile,
                context = [files + "sub/say \"hi\""],
                **common
            ),
            refused(
                "dockerfile_modes_outside",
                "modes: \"/x\": give a path relative to the context",
                fledge_dockerfile,
                modes = {"/x": "0755"},
                **common
            ),
            refused(
                "dockerfile_two_to_one_path",
                "both go to x in the context",
                fledge_dockerfile,
                context_mappings = {files + "secret": "x", files + "initramfs": "x"},
                **common
            ),
            refused(
                "dockerfile_base_without_config",
                "it has no config, which a Dockerfile builds upon",
                fledge_dockerfile,
                base_images = {"plain": name + "_plain"},
                dockerfile = files + "Dockerfile",
                solver = name + "_solver",
            ),
        ],
    )
