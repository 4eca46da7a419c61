"""Tests of the agent and busybox tags: what is fetched, and what is refused with which words."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts", "unittest")
load("//fledge/private:agent_tags.bzl", "NO_AGENT", "choose_agents", "plan_agent")
load("//fledge/private:busybox_tags.bzl", "plan_busybox")
load("//fledge/private:program_errors.bzl", "fetch_error")
load("//fledge/private:programs.bzl", "alias_build", "front_build", "unavailable_build")
load("//fledge/private:unavailable.bzl", "unavailable")

_A = "a" * 64
_B = "b" * 64
_RUN = "bazel run @fledge//tools/agentfetch -- "

def _tag(**kwargs):
    return struct(**(dict(
        assets = {},
        name = "kestrel",
        repository = "https://github.com/volantvm/volant",
        sha256 = {},
        url = "",
        version = "",
    ) | kwargs))

def _urls(downloads):
    return {arch: (d.url, d.sha256) for arch, d in downloads.items()}

def _agent_impl(ctx):
    env = unittest.begin(ctx)
    releases = "https://github.com/volantvm/volant/releases/download/v0.7.3/"
    both = {"amd64": _A, "arm64": _B}
    for tag, want in [
        (_tag(version = "v0.7.3", sha256 = {"amd64": _A}), {"amd64": (releases + "kestrel", _A)}),
        (
            _tag(version = "v0.7.3", sha256 = both),
            {"amd64": (releases + "kestrel", _A), "arm64": (releases + "kestrel-arm64", _B)},
        ),
        (
            _tag(version = "v0.7.3", sha256 = both, assets = {"arm64": "kestrel-linux-aarch64"}),
            {"amd64": (releases + "kestrel", _A), "arm64": (releases + "kestrel-linux-aarch64", _B)},
        ),
        (
            _tag(version = "v1", sha256 = {"arm64": _B}, repository = "https://git.example.com/team/volant/"),
            {"arm64": ("https://git.example.com/team/volant/releases/download/v1/kestrel-arm64", _B)},
        ),
        (_tag(url = "https://example.com/k", sha256 = {"arm64": _B}), {"arm64": ("https://example.com/k", _B)}),
        (
            _tag(url = "https://example.com/{arch}/k", sha256 = both),
            {"amd64": ("https://example.com/amd64/k", _A), "arm64": ("https://example.com/arm64/k", _B)},
        ),
    ]:
        downloads, missing = plan_agent(tag)
        asserts.equals(env, want, _urls(downloads))
        asserts.equals(env, [a for a in ["amd64", "arm64"] if a not in want], missing.keys())
    return unittest.end(env)

_agent_test = unittest.make(_agent_impl)

def _bad_agent_impl(ctx):
    env = unittest.begin(ctx)
    for tag, want in [
        (_tag(), ["fledge.agent \"kestrel\": it has neither", _RUN + "--version latest"]),
        (_tag(name = "k2"), ["fledge.agent \"k2\"", _RUN + "--name k2 --version latest"]),
        (_tag(version = "latest"), ["\"latest\" moves", _RUN + "--version latest"]),
        (_tag(version = "latest", sha256 = {"amd64": _A}), [_RUN + "--version latest"]),
        (_tag(version = "v1"), [
            "v1 has no sha256 for amd64",
            _RUN + "--version v1\n",
            _RUN + "--version latest",
        ]),
        (_tag(version = "v1", url = "https://example.com"), ["keep one"]),
        (_tag(version = "v1", sha256 = {"amd64": "sha256:" + _A}), ["must be 64 lower case"]),
        (_tag(version = "v1", sha256 = {"amd64": _A.upper()}), ["must be 64 lower case"]),
        (_tag(version = "v1", sha256 = {"x86_64": _A}), ["key \"x86_64\"; architectures are amd64 and arm64"]),
        (_tag(version = "v1", assets = {"x": "k"}, sha256 = {"amd64": _A}), ["assets has the key \"x\""]),
        (_tag(url = "https://e.com/k"), [_RUN + "--url 'https://e.com/k' --arch amd64"]),
        (_tag(url = "https://e.com/k", sha256 = {"amd64": _A, "arm64": _B}), ["no {arch}"]),
    ]:
        downloads, missing = plan_agent(tag)
        asserts.equals(env, {}, downloads)
        for part in want:
            asserts.true(env, part in missing["amd64"], "want {} in {}".format(repr(part), missing["amd64"]))
    _, missing = plan_agent(_tag(version = "v1", sha256 = {"amd64": _A}))
    for part in ["no sha256 for arm64", "kestrel-arm64"]:
        asserts.true(env, part in missing["arm64"], missing["arm64"])
    return unittest.end(env)

_bad_agent_test = unittest.make(_bad_agent_impl)

def _choice_impl(ctx):
    env = unittest.begin(ctx)
    one, two = _tag(version = "v1", sha256 = {"amd64": _A}), _tag(version = "v2", sha256 = {"amd64": _B})
    other = _tag(name = "other", version = "v3")
    modules = [
        struct(name = "app", is_root = True, tags = [one, one]),
        struct(name = "lib", is_root = False, tags = [two, other]),
        struct(name = "lib2", is_root = False, tags = [other]),
    ]
    asserts.equals(env, {"kestrel": one, "other": other}, choose_agents(modules))
    return unittest.end(env)

_choice_test = unittest.make(_choice_impl)

def _busybox_impl(ctx):
    env = unittest.begin(ctx)
    downloads, missing = plan_busybox([])
    asserts.equals(
        env,
        {"amd64": (
            "https://busybox.net/downloads/binaries/1.35.0-x86_64-linux-musl/busybox",
            "6e123e7f3202a8c1e9b1f94d8941580a25135382b99e8d3e34fb858bba311348",
        )},
        _urls(downloads),
    )
    asserts.true(env, "fledge.busybox(arch = \"arm64\"" in missing["arm64"], missing["arm64"])
    tags = [
        struct(arch = "arm64", sha256 = _B, url = "https://e.com/b64"),
        struct(arch = "amd64", sha256 = "x", url = "https://e.com/b"),
    ]
    downloads, missing = plan_busybox(tags)
    asserts.equals(env, {"arm64": ("https://e.com/b64", _B)}, _urls(downloads))
    asserts.true(env, "https://e.com/b: sha256 \"x\" must be" in missing["amd64"], missing["amd64"])
    return unittest.end(env)

_busybox_test = unittest.make(_busybox_impl)

def _build_impl(ctx):
    env = unittest.begin(ctx)
    build = front_build("k", "k", "kestrel", ["amd64"], {"arm64": "say \"this\"\nand that"})
    for part in [
        "\"@platforms//cpu:x86_64\": \"@k.amd64//:kestrel\"",
        "\"@platforms//cpu:aarch64\": \":unavailable_arm64\"",
        "message = \"say \\\"this\\\"\\nand that\"",
    ]:
        asserts.true(env, part in build, "want {} in {}".format(part, build))
    asserts.true(env, "actual = \"@k//:k\"" in alias_build("agent", "@k//:k"))
    asserts.true(env, "name = \"agent\"" in unavailable_build("agent", NO_AGENT))
    error = fetch_error("fledge.agent \"k\"", "https://e.com/k", _A, "kestrel", "do this")
    for part in ["\"k\": cannot fetch kestrel", "url:         https://e.com/k", _A, "do this"]:
        asserts.true(env, part in error, "want {} in {}".format(part, error))
    return unittest.end(env)

_build_test = unittest.make(_build_impl)

def _unavailable_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, "declare an agent")
    return analysistest.end(env)

_unavailable_test = analysistest.make(_unavailable_impl, expect_failure = True)

_TESTS = {
    "agent": _agent_test,
    "bad_agent": _bad_agent_test,
    "build": _build_test,
    "busybox": _busybox_test,
    "choice": _choice_test,
}

def agent_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: the suite's name.
    """
    tests = []
    for test, rule in _TESTS.items():
        tests.append("{}_{}".format(name, test))
        rule(name = tests[-1], size = "small")
    unavailable(name = name + "_subject", message = "declare an agent", tags = ["manual"])
    tests.append(name + "_unavailable")
    _unavailable_test(name = tests[-1], size = "small", target_under_test = name + "_subject")
    native.test_suite(name = name, tests = tests)
