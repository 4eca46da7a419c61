"""The registry API's addresses (OCI distribution specification, "Pull") and who gives tokens for it."""

load(":reference.bzl", "is_loopback")

# A registry that wants a bearer token names its token server in a header of its 401 answer, which Bazel's downloader
# does not show. So the public ones are listed: host, or a suffix that begins with a dot -> (token server, service).
_TOKEN_SERVERS = {
    ".app.snowflake.com": ("https://{host}/v2/token", "{host}"),
    ".azurecr.io": ("https://{host}/oauth2/token", "{host}"),
    "cgr.dev": ("https://cgr.dev/token", "cgr.dev"),
    "docker.elastic.co": ("https://docker-auth.elastic.co/auth", "token-service"),
    "ghcr.io": ("https://ghcr.io/token", "ghcr.io"),
    "lscr.io": ("https://ghcr.io/token", "ghcr.io"),
    "nvcr.io": ("https://nvcr.io/proxy_auth", "nvcr.io"),
    "public.ecr.aws": ("https://public.ecr.aws/token/", "public.ecr.aws"),
    "quay.io": ("https://quay.io/v2/auth", "quay.io"),
    "registry-1.docker.io": ("https://auth.docker.io/token", "registry.docker.io"),
    "registry.gitlab.com": ("https://gitlab.com/jwt/auth", "container_registry"),
}

# RFC 3986, section 3.4: what a query does not take as it is, or takes with a meaning of its own.
_QUERY_ESCAPES = {
    " ": "%20",
    "\"": "%22",
    "#": "%23",
    "&": "%26",
    "+": "%2B",
    "<": "%3C",
    "=": "%3D",
    ">": "%3E",
    "[": "%5B",
    "\\": "%5C",
    "]": "%5D",
    "^": "%5E",
    "`": "%60",
    "{": "%7B",
    "|": "%7C",
    "}": "%7D",
}

def _escape(value):
    value = value.replace("%", "%25")
    for character, escape in _QUERY_ESCAPES.items():
        value = value.replace(character, escape)
    return value

def _token_server(host):
    for pattern, server in _TOKEN_SERVERS.items():
        if host == pattern or (pattern.startswith(".") and host.endswith(pattern)):
            return server[0].format(host = host), server[1].format(host = host)
    return "", ""

def base_url(host):
    """Gives the address of a registry.

    Args:
      host: the registry with or without a port.

    Returns:
      `https://HOST`, or `http://HOST` for a registry on this machine.
    """
    return "{}://{}".format("http" if is_loopback(host) else "https", host)

def manifest_url(reference, target):
    """Gives the address of a manifest.

    Args:
      reference: what parse_reference returned.
      target: a digest or a tag.

    Returns:
      The URL.
    """
    return "{}/v2/{}/manifests/{}".format(base_url(reference.host), reference.repository, target)

def blob_url(reference, digest):
    """Gives the address of a config or layer.

    Args:
      reference: what parse_reference returned.
      digest: the blob's digest.

    Returns:
      The URL.
    """
    return "{}/v2/{}/blobs/{}".format(base_url(reference.host), reference.repository, digest)

def token_request(reference, token_url = "", service = ""):
    """Gives the address that answers with a token to pull an image (distribution's token authentication specification).

    Args:
      reference: what parse_reference returned.
      token_url: the token server, where the user named one.
      service: the name by which the token server knows the registry, where the user named one.

    Returns:
      The URL, or "" for a registry that takes requests without a token, or whose token server is not known.
    """
    if not token_url:
        token_url, service = _token_server(reference.host)
    if not token_url:
        return ""
    query = ["service=" + _escape(service)] if service else []
    query.append("scope=repository:{}:pull".format(reference.repository))
    return token_url + ("&" if "?" in token_url else "?") + "&".join(query)

def read_token(text):
    """Reads a token server's answer.

    Args:
      text: string, JSON with `token` or `access_token`.

    Returns:
      The token, or "" when there is none.
    """
    answer = json.decode(text, default = None)
    if type(answer) != "dict":
        return ""
    for key in ["token", "access_token"]:
        token = answer.get(key)
        if type(token) == "string" and token:
            return token
    return ""
