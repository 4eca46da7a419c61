"""The Go SDK that builds Go modules outside of rules_go, as the Go module proxy gives it: one zip a platform.

It is of Fledge, not of the workspace: modules may need a newer Go than the user's, what is built with it has the same
bytes everywhere, and the user's own SDK stays what it is.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "get_auth")

_VERSION = "1.26.8"

# Platform, as Go names it -> SHA-256 of the zip.
_SDKS = {
    "darwin_amd64": "fe99a2009e5bb51e06d7784f1a486478673512041c2671157bd382806e2aedcf",
    "darwin_arm64": "0aad5fb52b88498885290178adc0bcfe429bc63012621af9f83282eb640bd9c7",
    "linux_amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
    "linux_arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
}

PLATFORMS = _SDKS.keys()

_MODULE = "golang.org/toolchain"

# Where the go command finds the module without a proxy: the site golang.org/toolchain says so.
_DIRECT = "https://go.dev/dl/mod"

def module_proxies(goproxy):
    """Lists where the go command would look for the SDK.

    Args:
      goproxy: value of GOPROXY, or "" or None.

    Returns:
      list of strings: base URLs, none when it says off.
    """
    urls = []
    for entry in (goproxy or "https://proxy.golang.org,direct").replace("|", ",").split(","):
        entry = entry.strip()
        if entry == "off":
            break
        elif entry == "direct":
            urls.append(_DIRECT)
            break
        elif entry:
            urls.append(entry.rstrip("/"))
    return urls

def _version(platform):
    return "v0.0.1-go{}.{}".format(_VERSION, platform.replace("_", "-"))

_FAILED = """Go {version} for {platform}, which builds Go modules of Fledge's own, could not be fetched from {urls}
Set GOPROXY to a module proxy that this machine reaches, or put the file into the folder of --distdir: {file}, with \
SHA-256 {sha256}."""

def split_login(url):
    """Takes the login out of a URL, as Bazel would log it.

    Args:
      url: string, `SCHEME://[USER:PASSWORD@]HOST[/PATH]`.

    Returns:
      the URL without it, and the `auth` value of repository_ctx.download for it, or None.
    """
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    login, at, host = host.rpartition("@")
    user, _, password = login.partition(":")
    auth = {"type": "basic", "login": user, "password": password} if at else None
    return scheme + "://" + host + slash + path, auth

def _go_sdk_impl(rctx):
    platform = rctx.attr.platform

    # Not getenv: the digest says what comes, so that another proxy is no reason to fetch again.
    logins = {}
    for base in module_proxies(rctx.os.environ.get("GOPROXY")):
        url, login = split_login("{}/{}/@v/{}.zip".format(base, _MODULE, _version(platform)))
        logins[url] = login
    urls = logins.keys()
    auth = get_auth(rctx, urls) | {url: login for url, login in logins.items() if login}
    rctx.report_progress("Fetching Go {} for {}, 70 MB".format(_VERSION, platform))
    if not rctx.download(urls, "go.zip", _SDKS[platform], auth = auth, allow_fail = True).success:
        fail(_FAILED.format(
            version = _VERSION,
            platform = platform,
            urls = ", ".join(urls) or "anywhere: GOPROXY names no place",
            sha256 = _SDKS[platform],
            file = _version(platform) + ".zip",
        ))
    rctx.file("BUILD.bazel", 'exports_files(["go.zip"], visibility = ["//visibility:public"])\n', executable = False)

_go_sdk = repository_rule(
    implementation = _go_sdk_impl,
    doc = "The file `go.zip`: the Go SDK for a platform.",
    attrs = {"platform": attr.string(mandatory = True, values = _SDKS.keys())},
)

_ZIPS = {
    "darwin_amd64": Label("@fledge_go_sdk_darwin_amd64//:go.zip"),
    "darwin_arm64": Label("@fledge_go_sdk_darwin_arm64//:go.zip"),
    "linux_amd64": Label("@fledge_go_sdk_linux_amd64//:go.zip"),
    "linux_arm64": Label("@fledge_go_sdk_linux_arm64//:go.zip"),
}

_ARCHITECTURES = {"aarch64": "arm64", "amd64": "amd64", "arm64": "arm64", "x86_64": "amd64"}

def _host_platform(rctx):
    os = "darwin" if rctx.os.name.startswith("mac") else rctx.os.name
    return "{}_{}".format(os, _ARCHITECTURES.get(rctx.os.arch, rctx.os.arch))

def _go_host_impl(rctx):
    platform = _host_platform(rctx)
    if platform not in _ZIPS:
        fail("Fledge's Go modules cannot be fetched on {}: there is an SDK for {} only".format(
            platform,
            ", ".join(_ZIPS.keys()),
        ))
    rctx.extract(_ZIPS[platform], "sdk", "{}@{}".format(_MODULE, _version(platform)))

    # Module zips keep no run bits.
    programs = [rctx.path("sdk/bin/go")] + rctx.path("sdk/pkg/tool/" + platform).readdir(watch = "no")
    done = rctx.execute(["chmod", "+x"] + programs)
    if done.return_code:
        fail("chmod: " + done.stderr)
    rctx.file("BUILD.bazel", "", executable = False)

_go_host = repository_rule(
    implementation = _go_host_impl,
    doc = "The SDK for the machine that Bazel runs on, unpacked to `sdk`, for repository rules.",
)

def go_sdks():
    """Declares the repositories `fledge_go_sdk_OS_ARCH` and `fledge_go_host`; only what is used is fetched."""
    for platform in PLATFORMS:
        _go_sdk(name = "fledge_go_sdk_" + platform, platform = platform)
    _go_host(name = "fledge_go_host")

def host_go(rctx):
    """Gives the path of the SDK's root folder, for the machine that Bazel runs on, to a repository rule."""
    return rctx.path(Label("@fledge_go_host//:BUILD.bazel")).dirname.get_child("sdk")

def go_environment(rctx, root):
    """Gives the environment of the go command in a repository rule, which keeps all it writes in the repository.

    Args:
      rctx: the repository_ctx.
      root: path, the SDK's root folder.

    Returns:
      dict of strings. What is not in it is the user's own: GOPROXY, GOPRIVATE, GOAUTH, proxies, .netrc.
    """
    return {
        "GO111MODULE": "on",
        "GOCACHE": str(rctx.path("gocache")),
        "GOMODCACHE": str(rctx.path("modcache")),
        "GOPATH": str(rctx.path("gopath")),
        "GOROOT": str(root),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
