"""Tests of what fledge.image does around its downloads: references, manifests, addresses, credentials, errors."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//fledge/private:image_errors.bzl", "fetch_error", "no_digest_error")
load(
    "//fledge/private:keychain.bzl",
    "config_paths",
    "find_key",
    "read_entry",
    "read_helper_output",
)
load(
    "//fledge/private:oci.bzl",
    "check_platform",
    "parse_manifest",
    "parse_platform",
    "select_platform",
)
load("//fledge/private:reference.bzl", "format_reference", "is_loopback", "is_sha256", "parse_reference")
load("//fledge/private:registry.bzl", "blob_url", "manifest_url", "read_token", "token_request")

_A = "sha256:" + "a" * 64
_B = "sha256:" + "b" * 64

def _reference_impl(ctx):
    env = unittest.begin(ctx)
    for image, want in {
        "127.1.2.3:5000/a/b/c": ("127.1.2.3:5000", "127.1.2.3:5000", "a/b/c", "", ""),
        "[::1]:5000/app:v1": ("[::1]:5000", "[::1]:5000", "app", "v1", ""),
        "docker.io/nginx": ("docker.io", "registry-1.docker.io", "library/nginx", "", ""),
        "gcr.io/distroless/static-debian12:nonroot": ("gcr.io", "gcr.io", "distroless/static-debian12", "nonroot", ""),
        "ghcr.io/o/a@" + _A: ("ghcr.io", "ghcr.io", "o/a", "", _A),
        "index.docker.io/grafana/grafana:11.0.0": (
            "docker.io",
            "registry-1.docker.io",
            "grafana/grafana",
            "11.0.0",
            "",
        ),
        "localhost/app": ("localhost", "localhost", "app", "", ""),
        "localhost:5000": ("docker.io", "registry-1.docker.io", "library/localhost", "5000", ""),
        "nginx": ("docker.io", "registry-1.docker.io", "library/nginx", "", ""),
        "nginx:1.27-alpine@" + _A: ("docker.io", "registry-1.docker.io", "library/nginx", "1.27-alpine", _A),
        "quay.io/a__b/c.d/e--f": ("quay.io", "quay.io", "a__b/c.d/e--f", "", ""),
        "team/app": ("docker.io", "registry-1.docker.io", "team/app", "", ""),
    }.items():
        got = parse_reference(image)
        asserts.equals(env, None, got.error, image)
        if not got.error:
            asserts.equals(env, want, (got.registry, got.host, got.repository, got.tag, got.digest), image)
    asserts.equals(env, "docker.io/library/nginx:alpine@" + _A, format_reference(parse_reference("nginx:alpine@" + _A)))
    return unittest.end(env)

_reference_test = unittest.make(_reference_impl)

def _bad_reference_impl(ctx):
    env = unittest.begin(ctx)
    for image, why in {
        "": "not a repository",
        "-host.io/app": "not a registry",
        "app:": "tag must be",
        "app:.tag": "tag must be",
        "app:" + "t" * 129: "tag must be",
        "app@md5:abc": "part after @",
        "app@sha256:" + "A" * 64: "part after @",
        "app@sha256:abc": "part after @",
        "ghcr.io/": "not a repository",
        "ghcr.io/../etc": "not a repository",
        "ghcr.io/App": "not a repository",
        "ghcr.io/a//b": "not a repository",
        "ghcr.io/a..b": "not a repository",
        "ghcr.io/a___b": "not a repository",
        "ghcr.io/a/-b": "not a repository",
        "ghcr.io/a?b": "not a repository",
        "ghcr.io:port/a": "not a registry",
        "ghcr.io:443443/a": "not a registry",
        "ghcr.io/" + "a" * 256: "longer than 255",
        "https://ghcr.io/o/a": "leave out https://",
        "nginx alpine": "not a repository",
        "user@ghcr.io/a": "part after @",
    }.items():
        got = parse_reference(image).error
        asserts.true(env, got and why in got, "{}: want an error with {}, got {}".format(repr(image), repr(why), got))
    for value in [None, 1, "", "sha256:", _A.upper(), _A + "0", "sha512:" + "a" * 128]:
        asserts.false(env, is_sha256(value), repr(value))
    return unittest.end(env)

_bad_reference_test = unittest.make(_bad_reference_impl)

def _loopback_impl(ctx):
    env = unittest.begin(ctx)
    for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.8.7:80", "[::1]", "[::1]:5000"]:
        asserts.true(env, is_loopback(host), host)
    for host in ["localhost.example.com", "127.0.0.1.example.com", "127.evil.example.com", "128.0.0.1", "[::2]:5000"]:
        asserts.false(env, is_loopback(host), host)
    local, hub = parse_reference("127.0.0.1:5000/a"), parse_reference("nginx")
    asserts.equals(env, "http://127.0.0.1:5000/v2/a/blobs/" + _A, blob_url(local, _A))
    asserts.equals(env, "https://registry-1.docker.io/v2/library/nginx/manifests/alpine", manifest_url(hub, "alpine"))
    return unittest.end(env)

_loopback_test = unittest.make(_loopback_impl)

def _token_impl(ctx):
    env = unittest.begin(ctx)
    for image, want in {
        "127.0.0.1:5000/a": "",
        "e.azurecr.io/a": "https://e.azurecr.io/oauth2/token?service=e.azurecr.io&scope=repository:a:pull",
        "example.com/a": "",
        "ghcr.io/o/a": "https://ghcr.io/token?service=ghcr.io&scope=repository:o/a:pull",
        "nginx": "https://auth.docker.io/token?service=registry.docker.io&scope=repository:library/nginx:pull",
    }.items():
        asserts.equals(env, want, token_request(parse_reference(image)))
    reference = parse_reference("example.com/a")
    asserts.equals(
        env,
        "https://t.example.com/t?x=1&service=my%20%25%26%3Dregistry&scope=repository:a:pull",
        token_request(reference, "https://t.example.com/t?x=1", "my %&=registry"),
    )
    asserts.equals(env, "https://t.io?scope=repository:a:pull", token_request(reference, "https://t.io"))
    for text, token in {
        "[]": "",
        "no": "",
        "{\"access_token\":\"y\"}": "y",
        "{\"token\":1}": "",
        "{\"token\":\"x\",\"access_token\":\"y\"}": "x",
    }.items():
        asserts.equals(env, token, read_token(text), text)
    return unittest.end(env)

_token_test = unittest.make(_token_impl)

def _entry(os, architecture, variant = None, digest = _A):
    platform = {"architecture": architecture, "os": os} | ({"variant": variant} if variant else {})
    return {"digest": digest, "platform": platform}

def _platform_impl(ctx):
    env = unittest.begin(ctx)
    entries = [
        {"digest": _B},
        _entry("unknown", "unknown"),
        _entry("linux", "arm", "v6"),
        _entry("linux", "arm", "v7"),
        _entry("linux", "arm64", "v8"),
        _entry("linux", "amd64"),
        _entry("windows", "amd64"),
        _entry("linux", "riscv64", "rva23"),
    ]
    for platform, want in {
        "linux/amd64": 5,
        "linux/arm": 3,
        "linux/arm/v6": 2,
        "linux/arm64": 4,
        "linux/arm64/v8": 4,
        "linux/riscv64": 7,
        "windows/amd64": 6,
    }.items():
        got = select_platform(entries, parse_platform(platform))
        asserts.equals(env, None, got.error, platform)
        if not got.error:
            asserts.equals(env, entries[want], got.entry, platform)
    got = select_platform(entries, parse_platform("linux/arm/v5")).error
    asserts.equals(
        env,
        "the index has no linux/arm/v5; it has linux/arm/v6, linux/arm/v7, linux/arm64/v8, linux/amd64, windows/amd64, " +
        "linux/riscv64/rva23",
        got,
    )
    asserts.true(env, "no platform at all" in select_platform([], parse_platform("linux/amd64")).error)
    for platform in ["", "linux", "linux/", "linux/arm/v7/x"]:
        asserts.true(env, "expected OS/ARCHITECTURE" in parse_platform(platform).error, platform)

    amd64 = parse_platform("linux/amd64")
    asserts.equals(env, None, check_platform("{\"os\":\"linux\",\"architecture\":\"amd64\"}", amd64))
    asserts.equals(env, None, check_platform("{}", amd64))
    arm = "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}"
    asserts.equals(env, None, check_platform(arm, parse_platform("linux/arm64")))
    asserts.equals(env, "the image is for linux/arm64/v8", check_platform(arm, amd64))
    asserts.equals(env, "the image configuration is not a JSON object", check_platform("x", amd64))
    return unittest.end(env)

_platform_test = unittest.make(_platform_impl)

def _manifest_impl(ctx):
    env = unittest.begin(ctx)
    oci, docker = "application/vnd.oci.image.", "application/vnd.docker."
    for media_types in [
        (oci + "manifest.v1+json", oci + "config.v1+json", oci + "layer.v1.tar+zstd"),
        ("", oci + "config.v1+json", oci + "layer.v1.tar"),
        (
            docker + "distribution.manifest.v2+json",
            docker + "container.image.v1+json",
            docker + "image.rootfs.diff.tar.gzip",
        ),
    ]:
        manifest = {
            "config": {"digest": _A, "mediaType": media_types[1]},
            "layers": [{"digest": _B, "mediaType": media_types[2]}],
            "schemaVersion": 2,
        } | ({"mediaType": media_types[0]} if media_types[0] else {})
        got = parse_manifest(json.encode(manifest))
        asserts.equals(env, None, got.error)
        if not got.error:
            asserts.equals(env, (False, _A), (got.index, got.config))
            asserts.equals(env, [struct(digest = _B, media_type = media_types[2])], got.layers)
    for media_type in [None, oci + "index.v1+json", docker + "distribution.manifest.list.v2+json"]:
        index = {"manifests": [_entry("linux", "amd64")]} | ({"mediaType": media_type} if media_type else {})
        got = parse_manifest(json.encode(index))
        asserts.equals(env, None, got.error)
        if not got.error:
            asserts.equals(env, (True, index["manifests"]), (got.index, got.entries))
    return unittest.end(env)

_manifest_test = unittest.make(_manifest_impl)

def _bad_manifest_impl(ctx):
    env = unittest.begin(ctx)
    config = {"digest": _A, "mediaType": "application/vnd.oci.image.config.v1+json"}
    layer = {"digest": _B, "mediaType": "application/vnd.oci.image.layer.v1.tar+encrypted"}
    for why, manifest in {
        "an entry's digest": {"manifests": [{"digest": "sha256:../../etc/passwd"}]},
        "it has no config with": {"config": {}, "layers": []},
        "it is no image but an artifact": {
            "config": config | {"mediaType": "application/vnd.cncf.helm.config.v1+json"},
            "layers": [],
        },
        "layer 0 ({}): unknown media type".format(_B): {"config": config, "layers": [layer]},
        "layer 0: the digest": {"config": config, "layers": [layer | {"digest": "sha512:" + "a" * 128}]},
        "layers are not a list": {"config": config, "layers": {}},
        "manifests are not a list": {"manifests": ["x"]},
        "media type \"\" is not an image": {},
        "media type \"text/html\"": {"mediaType": "text/html"},
        "schema 1": {"schemaVersion": 1},
    }.items():
        got = parse_manifest(json.encode(manifest)).error
        asserts.true(env, got and why in got, "want an error with {}, got {}".format(repr(why), got))
    for text in ["", "<html>", "[]", "{\"layers\":"]:
        asserts.equals(env, "it is not a JSON object", parse_manifest(text).error)
    return unittest.end(env)

_bad_manifest_test = unittest.make(_bad_manifest_impl)

def _keychain_files_impl(ctx):
    env = unittest.begin(ctx)
    for environ, want in [
        ({}, []),
        ({"HOME": "/h"}, ["/h/.docker/config.json"]),
        (
            {"DOCKER_CONFIG": "/d", "HOME": "/h", "XDG_RUNTIME_DIR": "/r"},
            ["/d/config.json", "/r/containers/auth.json"],
        ),
        ({"HOME": "/h", "REGISTRY_AUTH_FILE": "/a", "XDG_RUNTIME_DIR": "/r"}, ["/h/.docker/config.json", "/a"]),
    ]:
        asserts.equals(env, want, config_paths(environ))
    entries = {
        "http://r.example.com:5000/v2/": {},
        "https://index.docker.io/v1/": {},
        "quay.io": {},
        "quay.io/team": {},
    }
    for image, want in {
        "ghcr.io/a": None,
        "nginx": "https://index.docker.io/v1/",
        "quay.io/other/app": "quay.io",
        "quay.io/team/app": "quay.io/team",
        "quay.io/teams/app": "quay.io",
        "r.example.com/a": None,
        "r.example.com:5000/a": "http://r.example.com:5000/v2/",
    }.items():
        asserts.equals(env, want, find_key(entries, parse_reference(image)), image)
    asserts.equals(env, None, find_key([], parse_reference("nginx")))
    return unittest.end(env)

_keychain_files_test = unittest.make(_keychain_files_impl)

def _keychain_entries_impl(ctx):
    env = unittest.begin(ctx)
    reference, azure = parse_reference("r.example.com/a"), parse_reference("x.azurecr.io/a")
    basic = {"login": "u", "password": "p$1\\", "type": "basic"}
    for entry, want in [
        ({"auth": "dTpw"}, ({"pattern": "Basic dTpw", "type": "pattern"}, True)),
        ({"password": "p$1\\", "username": "u"}, (basic, True)),
        ({"auth": "dTpw", "registrytoken": "t"}, ({"pattern": "Bearer t", "type": "pattern"}, False)),
    ]:
        found, why = read_entry(entry, reference, "F")
        asserts.equals(env, (want, "F", None), ((found.auth, found.exchange), found.source, why))
    for entry, want in [
        ({}, "has no credentials"),
        ({"auth": 1}, "has no credentials"),
        ("x", "is not an object"),
        ({"auth": "dTpw", "identitytoken": "t"}, "cannot exchange"),
    ]:
        found, why = read_entry(entry, reference, "F")
        asserts.equals(env, None, found)
        asserts.true(env, want in why, why)
    found, _ = read_entry({"identitytoken": "t"}, azure, "F")
    asserts.equals(env, ("00000000-0000-0000-0000-000000000000", "t"), (found.auth["login"], found.auth["password"]))

    found, _ = read_helper_output("{\"Username\":\"u\",\"Secret\":\"p$1\\\\\"}", reference, "H")
    asserts.equals(env, (basic, True, "H"), (found.auth, found.exchange, found.source))
    for stdout, want in {
        "": "printed no JSON",
        "{\"Username\":\"<token>\",\"Secret\":\"t\"}": "cannot exchange",
        "{\"Username\":\"u\",\"Secret\":\"\"}": "has no entry",
        "{\"Username\":\"u\"}": "printed no JSON",
    }.items():
        found, why = read_helper_output(stdout, reference, "H")
        asserts.equals(env, None, found)
        asserts.true(env, want in why, why)
    return unittest.end(env)

_keychain_entries_test = unittest.make(_keychain_entries_impl)

def _source(image, token_request = ""):
    return struct(name = "app", reference = parse_reference(image), digest = _A, token_request = token_request)

def _errors_impl(ctx):
    env = unittest.begin(ctx)
    request = struct(what = "layer", sha256 = "b" * 64)
    none = struct(found = None, searched = ["/d/config.json: no such file"])
    found = struct(found = struct(source = "docker-credential-x", auth = {"password": "SECRET"}), searched = [])
    for source, session, want in [
        (
            _source("ghcr.io/o/a:1", "https://t"),
            {"keychain": none, "token_refused": False},
            [
                "\"app\": the registry did not give the layer",
                "registry:    ghcr.io\n",
                "repository:  o/a\n",
                "digest:      " + _B,
                "looked in /d/config.json: no such file",
                "wants credentials: `docker login ghcr.io`",
            ],
        ),
        (
            _source("nginx", "https://t"),
            {"keychain": found, "token_refused": True},
            ["registry:    docker.io", "those of docker-credential-x", "token server refuses these", "registry-1."],
        ),
        (
            _source("nginx", "https://t"),
            {"keychain": none, "token_refused": True},
            ["the token server gave no token, so it wants credentials: `docker login docker.io`"],
        ),
        (
            _source("r.example.com/a"),
            {"keychain": found, "token_refused": False},
            ["these credentials are wrong", "fledge.registry"],
        ),
    ]:
        got = fetch_error(source, session, request)
        for part in want:
            asserts.true(env, part in got, "want {} in {}".format(repr(part), got))
        asserts.false(env, "SECRET" in got, got)
    asserts.true(env, "    digest = \"{}\",".format(_A) in no_digest_error(_source("nginx"), "alpine", _A))
    asserts.true(env, "skopeo inspect" in no_digest_error(_source("localhost/a"), "latest", ""))
    return unittest.end(env)

_errors_test = unittest.make(_errors_impl)

_TESTS = {
    "bad_manifest": _bad_manifest_test,
    "bad_reference": _bad_reference_test,
    "errors": _errors_test,
    "keychain_entries": _keychain_entries_test,
    "keychain_files": _keychain_files_test,
    "loopback": _loopback_test,
    "manifest": _manifest_test,
    "platform": _platform_test,
    "reference": _reference_test,
    "token": _token_test,
}

def image_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: the suite's name.
    """
    tests = []
    for test, rule in _TESTS.items():
        tests.append("{}_{}".format(name, test))
        rule(name = tests[-1], size = "small")
    native.test_suite(name = name, tests = tests)
