"""What the user reads when a declared program cannot be had."""

def fetch_error(declaration, url, sha256, file, advice):
    """Says that a program could not be fetched.

    Bazel tells what went wrong in a warning of its own and nowhere else, so the message explains each that is likely.

    Args:
      declaration: the tag that declares the program, as `fledge.agent "kestrel"`.
      url: what was asked for.
      sha256: what it should be.
      file: the name of the file, by which --distdir finds it.
      advice: what to do when it is another.

    Returns:
      The message, of several lines.
    """
    return """{declaration}: cannot fetch {file}
  url:         {url}
  sha256:      {sha256}
What went wrong is in the last WARNING above:
  Checksum     the file there is not the one that was pinned, and nothing of it was kept; {advice}
  401, 403     the server wants credentials: ~/.netrc, or --credential_helper
  404          no such file: look at version, assets and url
  no warning   Bazel may not ask: --repository_disable_download, or a downloader config that blocks the host""".format(
        advice = advice,
        declaration = declaration,
        file = file,
        sha256 = sha256,
        url = url,
    )
