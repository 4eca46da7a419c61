"""Image references: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, read as Docker and containerd read them."""

# Docker Hub has one name in references and credentials, and another that answers the registry API.
DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"
_DOCKER_HUB_ALIASES = [DOCKER_HUB, "index.docker.io", _DOCKER_HUB_API]

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_DIGITS = "0123456789"
_HEX = _DIGITS + "abcdef"
_WORD = _LOWER + _LOWER.upper() + _DIGITS + "_"

def _made_of(s, alphabet):
    return s != "" and s.strip(alphabet) == ""

def is_sha256(digest):
    """Says whether a string is a digest as Fledge takes them.

    Args:
      digest: any value.

    Returns:
      True for `sha256:` and 64 lower case hexadecimal digits.
    """
    if type(digest) != "string" or not digest.startswith("sha256:"):
        return False
    value = digest.removeprefix("sha256:")
    return len(value) == 64 and _made_of(value, _HEX)

def is_loopback(host):
    """Says whether a registry is on this machine, where plain HTTP is as good as HTTPS.

    Args:
      host: a registry with or without a port, IPv6 addresses in brackets.

    Returns:
      True for localhost, 127.0.0.0/8 and [::1].
    """
    if host.startswith("["):
        return host.partition("]")[0] == "[::1"
    name = host.partition(":")[0]
    parts = name.split(".")
    return name == "localhost" or (len(parts) == 4 and parts[0] == "127" and all([_made_of(p, _DIGITS) for p in parts]))

def _valid_registry(registry):
    host, _, port = registry.rpartition(":") if registry.rfind(":") > registry.rfind("]") else (registry, "", "0")
    if not _made_of(port, _DIGITS) or len(port) > 5:
        return False
    if host.startswith("["):
        return host.endswith("]") and _made_of(host[1:-1], _HEX + "ABCDEF" + ":.")
    return _made_of(host, _WORD + "-.") and all([p and p[0] != "-" and p[-1] != "-" for p in host.split(".")])

def _valid_component(component):
    """One part of a repository: runs of a-z0-9, joined by one dot, one or two underscores, or dashes."""
    if not _made_of(component, _LOWER + _DIGITS + "._-") or component.strip("._-") != component:
        return False
    separators = [run for run in _split_runs(component) if run]
    return all([run in [".", "_", "__"] or _made_of(run, "-") for run in separators])

def _split_runs(component):
    for c in (_LOWER + _DIGITS).elems():
        component = component.replace(c, " ")
    return component.split(" ")

def _valid_tag(tag):
    return len(tag) <= 128 and _made_of(tag, _WORD + ".-") and tag[0] not in ".-"

def _split_registry(name):
    """Splits a name without tag and digest at the registry, by Docker's rule for what is one."""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return first, rest
    return DOCKER_HUB, name

def _error(image, why):
    return struct(error = "image {}: {}".format(repr(image), why))

def parse_reference(image):
    """Reads an image reference.

    Args:
      image: for example `nginx:alpine`, `ghcr.io/owner/app@sha256:…` or `localhost:5000/app:1.0@sha256:…`.

    Returns:
      A struct. `error` is None, or a string that says what is wrong, and then there is nothing else. `registry` is the
      registry's name with its port (`docker.io` for short names), `host` the one that answers the registry API
      (`registry-1.docker.io` for that), `repository` the full repository (`library/nginx`), `tag` and `digest` strings,
      "" when not there.
    """
    name, at, digest = image.partition("@")
    if at and not is_sha256(digest):
        return _error(image, "the part after @ must be sha256: and 64 lower case hexadecimal digits")
    if "://" in name:
        return _error(image, "a reference has no scheme; leave out {}://".format(name.partition("://")[0]))
    tag = ""
    if name.rfind(":") > name.rfind("/"):
        name, _, tag = name.rpartition(":")
        if not _valid_tag(tag):
            return _error(image, "the tag must be 1 to 128 letters, digits, _ . -, and not begin with . or -")
    registry, repository = _split_registry(name)
    if not _valid_registry(registry):
        return _error(image, "{} is not a registry: expected HOST or HOST:PORT".format(repr(registry)))
    if registry in _DOCKER_HUB_ALIASES:
        registry = DOCKER_HUB
        if "/" not in repository:
            repository = "library/" + repository
    for component in repository.split("/"):
        if not _valid_component(component):
            return _error(image, ("{} is not a repository: its parts are lower case letters and digits, joined by " +
                                  "one dot, one or two underscores, or dashes").format(repr(repository)))
    if len(repository) > 255:
        return _error(image, "the repository is longer than 255 characters")
    return struct(
        error = None,
        registry = registry,
        host = _DOCKER_HUB_API if registry == DOCKER_HUB else registry,
        repository = repository,
        tag = tag,
        digest = digest,
    )

def format_reference(reference):
    """Writes a reference in full, for messages.

    Args:
      reference: what parse_reference returned.

    Returns:
      `REGISTRY/REPOSITORY` with `:TAG` and `@DIGEST` where there are any.
    """
    return "{}/{}{}{}".format(
        reference.registry,
        reference.repository,
        ":" + reference.tag if reference.tag else "",
        "@" + reference.digest if reference.digest else "",
    )
