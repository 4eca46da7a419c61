"""What the user reads when an image cannot be had: what was asked of whom, with which credentials, and what to do."""

def _credentials(keychain):
    """Says which credentials were used, or where they were looked for."""
    if keychain.found:
        return "those of {}".format(keychain.found.source)
    return "none; looked in " + "; ".join(keychain.searched)

def _unauthorized(source, session):
    """Says what to do about a 401."""
    login = "`docker login {0}` or `podman login {0}`".format(source.reference.registry)
    if session["keychain"].found:
        if session["token_refused"]:
            return "the token server refuses these credentials: {} again".format(login)
        advice = "these credentials are wrong or may not pull this repository: {} again".format(login)
    elif session["token_refused"]:
        return "the token server gave no token, so it wants credentials: " + login
    else:
        advice = "the registry wants credentials: " + login
    if source.token_request:
        return advice
    return advice + "; or it wants a token: name its token server with fledge.registry"

def fetch_error(source, session, request):
    """Says that a registry did not give a file.

    Bazel tells the HTTP status in a warning of its own and nowhere else, so the message explains each that is likely.

    Args:
      source: the image, as the repository rule reads its attributes.
      session: dict of the repository rule; `keychain` is what find_credentials returned.
      request: the file that did not come: a struct of `what` and `sha256`.

    Returns:
      The message, of several lines.
    """
    reference = source.reference
    name = "{}/{}".format(reference.registry, reference.repository)
    return """fledge.image "{image}": the registry did not give the {what}
  registry:    {registry}
  repository:  {repository}
  digest:      {digest}
  credentials: {credentials}
Its answer is in the last WARNING above:
  401, 403     {unauthorized}
  404          no such repository, or no such {kind} in it; `skopeo list-tags docker://{name}` lists what is there
  429          too many requests: wait, log in for a higher limit, or use a mirror (docs/images.md)
  Checksum     the registry, or a proxy before it, has altered or cut the file; nothing of it was kept
  no warning   Bazel may not ask: --repository_disable_download, or a downloader config that blocks {host}""".format(
        image = source.name,
        what = request.what,
        registry = reference.registry,
        repository = reference.repository,
        digest = "sha256:" + request.sha256 if request.sha256 else "unknown",
        credentials = _credentials(session["keychain"]),
        unauthorized = _unauthorized(source, session),
        kind = "digest" if request.sha256 else "tag",
        name = name,
        host = reference.host,
    )

def no_digest_error(source, tag, digest):
    """Says that an image is not pinned.

    Args:
      source: the image, as the repository rule reads its attributes.
      tag: the tag that was asked for.
      digest: the digest that the tag has now, or "" when Bazel could not ask.

    Returns:
      The message, with the line to copy.
    """
    image = "{}/{}:{}".format(source.reference.registry, source.reference.repository, tag)
    start = "fledge.image \"{}\": {} has no digest, and tags move.\n".format(source.name, image)
    if digest:
        return start + "Add the one that it has now:\n    digest = \"{}\",".format(digest)
    return start + ("Bazel fetches nothing by plain HTTP without a checksum, so learn the digest with\n" +
                    "    skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{}\n" +
                    "and add it:\n    digest = \"sha256:…\",").format(image)

def unusable_error(name, why):
    """Says that an image cannot be used as it is declared, or as the registry has it.

    Args:
      name: the image's name.
      why: what is wrong.

    Returns:
      The message.
    """
    return "fledge.image \"{}\": {}".format(name, why)
