"""The repository rule behind the fledge.image tag: an OCI image from a registry, one file a blob.

Everything goes through Bazel's downloader with its digest, so the repository cache, --distdir, the downloader config
and --repository_disable_download hold for images as they do for archives.
"""

load(":image_errors.bzl", "fetch_error", "no_digest_error", "unusable_error")
load(":keychain.bzl", "find_credentials")
load(":oci.bzl", "MANIFEST_ACCEPT", "check_platform", "parse_manifest", "parse_platform", "select_platform")
load(":reference.bzl", "format_reference", "is_loopback", "is_sha256", "parse_reference")
load(":registry.bzl", "blob_url", "manifest_url", "read_token", "token_request")

# Ways to ask a registry, in this order: many images are public, and credentials that have expired would lock them.
_ANONYMOUS = 0
_KEYCHAIN = 1

_ACCEPT = {"Accept": MANIFEST_ACCEPT}
_TOKEN_FILE = "token.json"

# An index may name an index; nobody nests them deeper.
_MAX_INDEXES = 4

def _source(rctx):
    """Reads the attributes: a struct of name, reference, digest, platform and token_request."""
    name = rctx.attr.image_name
    reference = parse_reference(rctx.attr.image)
    platform = parse_platform(rctx.attr.platform)
    for parsed in [reference, platform]:
        if parsed.error:
            fail(unusable_error(name, parsed.error))
    digest = rctx.attr.digest or reference.digest
    if digest and not is_sha256(digest):
        why = "digest {} must be sha256: and 64 lower case hexadecimal digits".format(repr(digest))
        fail(unusable_error(name, why))
    if reference.digest and reference.digest != digest:
        fail(unusable_error(name, "image says {} and digest says {}; keep one".format(reference.digest, digest)))
    return struct(
        name = name,
        reference = reference,
        digest = digest,
        platform = platform,
        token_request = token_request(reference, rctx.attr.token_url, rctx.attr.token_service),
    )

def _fetch_token(rctx, url, login):
    """Asks a token server; gives the token, or "" when it gives none."""
    answer = rctx.download(
        url = [url],
        output = _TOKEN_FILE,
        allow_fail = True,
        auth = {url: login.auth} if login else {},
    )
    if not answer.success:
        return ""
    token = read_token(rctx.read(_TOKEN_FILE, watch = "no"))
    rctx.delete(_TOKEN_FILE)
    return token

def _authorize(rctx, source, session, way, renew):
    """Gives the `auth` value for a way to ask, {} for none, or None when the way is closed."""
    if way in session["auth"] and not renew:
        return session["auth"][way]
    login = None
    if way == _KEYCHAIN:
        if not session["keychain"]:
            session["keychain"] = find_credentials(rctx, source.reference)
        login = session["keychain"].found
        if not login:
            return None
    auth = login.auth if login else {}
    if source.token_request and not (login and not login.exchange):
        rctx.report_progress("Asking for a token to pull {}".format(source.reference.repository))
        token = _fetch_token(rctx, source.token_request, login)
        session["token_refused"] = not token
        if token:
            auth = {"type": "pattern", "pattern": "Bearer " + token}
        elif login:
            return None
    session["auth"][way] = auth
    return auth

def _plan(source, session):
    """Lists the ways to ask that are left, as pairs of way and whether to ask for a new token first."""
    way = session["way"]
    plan = [(w, False) for w in range(way, _KEYCHAIN + 1)]
    if source.token_request and way in session["auth"]:
        plan.insert(1, (way, True))  # tokens last for minutes, big images take longer
    return plan

def _start(rctx, request, urls, auth):
    return rctx.download(
        url = urls,
        output = request.output,
        sha256 = request.sha256,
        allow_fail = True,
        # For these very URLs: a registry may redirect to a store that must not see the credentials.
        auth = {url: auth for url in urls} if auth else {},
        headers = request.headers,
        block = False,
    )

def _download(rctx, source, session, requests):
    """Fetches files side by side; gives a dict of URL to SHA-256 of those that came."""
    done = {}

    # Without a URL this asks the repository cache alone: no token, and no warning when it is not there.
    cached = [(r, _start(rctx, r, [], None)) for r in requests if r.sha256]
    for r, download in cached:
        if download.wait().success:
            done[r.url] = r.sha256
    for way, renew in _plan(source, session):
        missing = [r for r in requests if r.url not in done]
        if not missing:
            break
        auth = _authorize(rctx, source, session, way, renew)
        if auth == None:
            continue
        session["way"] = way
        started = [(r, _start(rctx, r, [r.url], auth)) for r in missing]
        for i, (r, download) in enumerate(started):
            progress = "{} ({} of {})".format(r.what, i + 1, len(started)) if len(started) > 1 else r.what
            rctx.report_progress("Fetching {}: {}".format(source.reference.repository, progress))
            result = download.wait()
            if result.success:
                done[r.url] = result.sha256
    return done

def _blob_path(digest):
    # An OCI layout's path: --distdir finds the blobs of one by these names.
    return "blobs/" + digest.replace(":", "/")

def _request(url, digest, what, headers = {}):
    return struct(
        url = url,
        output = _blob_path(digest),
        sha256 = digest.removeprefix("sha256:"),
        what = what,
        headers = headers,
    )

def _must_download(rctx, source, session, requests):
    done = _download(rctx, source, session, requests)
    for r in requests:
        if r.url not in done:
            fail(fetch_error(source, session, r))

def _fail_unusable(source, what, digest, why):
    fail(unusable_error(source.name, "{}: {} {}: {}".format(format_reference(source.reference), what, digest, why)))

def _fetch_manifest(rctx, source, session):
    """Fetches the manifest, through the index if there is one; gives it and whether there was none."""
    digest = source.digest
    for depth in range(_MAX_INDEXES):
        request = _request(manifest_url(source.reference, digest), digest, "manifest", _ACCEPT)
        _must_download(rctx, source, session, [request])
        manifest = parse_manifest(rctx.read(request.output, watch = "no"))
        if manifest.error:
            _fail_unusable(source, "manifest", digest, manifest.error)
        if not manifest.index:
            return manifest, depth == 0
        chosen = select_platform(manifest.entries, source.platform)
        if chosen.error:
            _fail_unusable(source, "index", digest, chosen.error + "; set `platform`")
        digest = chosen.entry["digest"]
    return _fail_unusable(source, "index", source.digest, "it nests indexes {} deep".format(_MAX_INDEXES))

def _learn_digest(rctx, source, session):
    """Fails with the digest that the image's tag has now."""
    tag = source.reference.tag or "latest"
    digest = ""

    # Bazel downloads nothing by plain HTTP whose checksum it does not know.
    if not is_loopback(source.reference.host):
        url = manifest_url(source.reference, tag)
        request = struct(url = url, output = "tag.json", sha256 = "", what = "tag " + tag, headers = _ACCEPT)
        sha256 = _download(rctx, source, session, [request]).get(url)
        if not sha256:
            fail(fetch_error(source, session, request))
        digest = "sha256:" + sha256
    fail(no_digest_error(source, tag, digest))

_BUILD = """load({rule}, "oci_image_layers")

package(default_visibility = ["//visibility:public"])

filegroup(
    name = "config",
    srcs = [{config}],
)
{layers}
oci_image_layers(
    name = {name},
    config = ":config",
    layer_digests = {digests},
    layers = {labels},
    media_types = {media_types},
)
"""

_LAYER = """
filegroup(
    name = "layer_{index}",
    srcs = [{file}],
)
"""

def _build_file(name, manifest):
    layers = manifest.layers
    return _BUILD.format(
        rule = repr(str(Label(":image_layers.bzl"))),
        config = repr(_blob_path(manifest.config)),
        name = repr(name),
        layers = "".join([
            _LAYER.format(index = i, file = repr(_blob_path(layer.digest)))
            for i, layer in enumerate(layers)
        ]),
        digests = repr([layer.digest for layer in layers]),
        labels = repr([":layer_{}".format(i) for i in range(len(layers))]),
        media_types = repr([layer.media_type for layer in layers]),
    )

def _image_repo_impl(rctx):
    source = _source(rctx)
    session = {"auth": {}, "keychain": None, "token_refused": False, "way": _ANONYMOUS}
    if not source.digest:
        _learn_digest(rctx, source, session)
    manifest, alone = _fetch_manifest(rctx, source, session)

    config = _request(blob_url(source.reference, manifest.config), manifest.config, "config")
    _must_download(rctx, source, session, [config])
    wrong = check_platform(rctx.read(config.output, watch = "no"), source.platform) if alone else None
    if wrong:
        _fail_unusable(source, "manifest", source.digest, wrong + "; set `platform`")

    digests = {layer.digest: None for layer in manifest.layers}.keys()  # a layer may occur twice
    _must_download(rctx, source, session, [
        _request(blob_url(source.reference, digest), digest, "layer")
        for digest in digests
    ])
    rctx.file("BUILD.bazel", _build_file(source.name, manifest), executable = False)

image_repo = repository_rule(
    implementation = _image_repo_impl,
    doc = """Fetches an OCI image from a registry. The `fledge.image` tag of the module extension makes these.

The repository has the targets `NAME` (FledgeLayersInfo: every layer and the config), `layer_0`, `layer_1`, … (base
layer first) and `config`. Its files lie as in an OCI image layout, at `blobs/sha256/HEX`.
""",
    attrs = {
        "digest": attr.string(
            doc = "`sha256:HEX` of the index or manifest. May stand in `image` instead.",
        ),
        "image": attr.string(
            mandatory = True,
            doc = "The image reference: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.",
        ),
        "image_name": attr.string(
            mandatory = True,
            doc = "The name that the user gave the image: the repository's own name has the module in it.",
        ),
        "platform": attr.string(
            default = "linux/amd64",
            doc = "The platform to take from an index: `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`.",
        ),
        "token_service": attr.string(
            doc = "The name by which `token_url` knows the registry.",
        ),
        "token_url": attr.string(
            doc = "The registry's token server. Default: that of a well-known registry, else none.",
        ),
    },
)
