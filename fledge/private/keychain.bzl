"""The user's registry credentials: Docker's config.json, Podman's auth.json and the credential helpers they name.

Formats: docker config.json (`auths`, `credsStore`, `credHelpers`), containers-auth.json(5), docker-credential-helpers.
"""

load(":reference.bzl", "DOCKER_HUB")

# The key that `docker login` and every helper know Docker Hub by.
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 60  # seconds; a helper may have to unlock a key ring
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

# Azure's registries take their identity token as the password of this user; others want a POST to exchange it.
_AZURE_SUFFIX = ".azurecr.io"
_AZURE_TOKEN_USER = "00000000-0000-0000-0000-000000000000"

def config_paths(environ):
    """Lists the files that may hold credentials, in the order in which they are asked.

    Args:
      environ: dict, the environment's variables.

    Returns:
      list of string: absolute paths, which need not exist.
    """
    home = environ.get("HOME", "")
    docker = environ.get("DOCKER_CONFIG") or (home + "/.docker" if home else "")
    paths = [docker + "/config.json"] if docker else []
    if environ.get("REGISTRY_AUTH_FILE"):
        paths.append(environ["REGISTRY_AUTH_FILE"])
    elif environ.get("XDG_RUNTIME_DIR"):
        paths.append(environ["XDG_RUNTIME_DIR"] + "/containers/auth.json")
    return paths

def _normal_key(key):
    """Brings the forms in which tools write a registry into one: host[:port][/path]."""
    key = key.removeprefix("https://").removeprefix("http://").removesuffix("/")
    for suffix in ["/v1", "/v2"]:
        key = key.removesuffix(suffix)
    host, slash, path = key.partition("/")
    if host in ["index.docker.io", "registry-1.docker.io"]:
        host = DOCKER_HUB
    return host + slash + path

def find_key(entries, reference):
    """Finds the entry for an image in a dict that is keyed by registry, or by registry and a part of the repository.

    Args:
      entries: dict, or anything else, which counts as empty.
      reference: what parse_reference returned.

    Returns:
      The key of the most specific entry, or None.
    """
    if type(entries) != "dict":
        return None
    keys = {_normal_key(k): k for k in entries.keys()}
    parts = [reference.registry] + reference.repository.split("/")
    for n in range(len(parts), 0, -1):
        key = keys.get("/".join(parts[:n]))
        if key != None:
            return key
    return None

def _basic(username, secret, source):
    return struct(auth = {"type": "basic", "login": username, "password": secret}, exchange = True, source = source)

def read_entry(entry, reference, path):
    """Reads an entry of `auths`.

    Args:
      entry: the value under the registry's key.
      reference: what parse_reference returned.
      path: string, the file that the entry is in, for messages.

    Returns:
      A pair of the credentials (see find_credentials) or None, and None or a string that says why there are none.
    """
    if type(entry) != "dict":
        return None, "the entry for {} is not an object".format(reference.registry)
    values = {
        k: entry[k]
        for k in ["auth", "identitytoken", "password", "registrytoken", "username"]
        if type(entry.get(k)) == "string" and entry[k]
    }
    if "registrytoken" in values:
        auth = {"type": "pattern", "pattern": "Bearer " + values["registrytoken"]}
        return struct(auth = auth, exchange = False, source = path), None
    if "identitytoken" in values:
        return _identity(values["identitytoken"], reference, path)
    if "username" in values and "password" in values:
        return _basic(values["username"], values["password"], path), None
    if "auth" in values:
        # The file has user and password in the very form that the header takes.
        auth = {"type": "pattern", "pattern": "Basic " + values["auth"]}
        return struct(auth = auth, exchange = True, source = path), None
    return None, "the entry for {} has no credentials".format(reference.registry)

def _identity(token, reference, source):
    if reference.registry.endswith(_AZURE_SUFFIX):
        return _basic(_AZURE_TOKEN_USER, token, source), None
    return None, ("the entry for {} is an identity token, which Bazel's downloader cannot exchange; log in with a " +
                  "user and an access token").format(reference.registry)

def read_helper_output(stdout, reference, helper):
    """Reads what `docker-credential-X get` printed.

    Args:
      stdout: string, JSON with `Username` and `Secret`.
      reference: what parse_reference returned.
      helper: string, the helper's program name, for messages.

    Returns:
      A pair of the credentials (see find_credentials) or None, and None or a string that says why there are none.
    """
    answer = json.decode(stdout, default = None)
    if type(answer) != "dict" or type(answer.get("Username")) != "string" or type(answer.get("Secret")) != "string":
        return None, helper + " printed no JSON with Username and Secret"
    if answer["Username"] == "<token>":
        return _identity(answer["Secret"], reference, helper)
    if not answer["Secret"]:
        return None, "{} has no entry for {}".format(helper, reference.registry)
    return _basic(answer["Username"], answer["Secret"], helper), None

def _ask_helper(rctx, name, reference):
    if type(name) != "string" or not name or name.strip(_NAME):
        return None, "the credential helper's name {} is not a program name".format(repr(name))
    helper = "docker-credential-" + name
    program = rctx.which(helper)
    if not program:
        return None, helper + " is not on PATH"
    key = _DOCKER_HUB_KEY if reference.registry == DOCKER_HUB else reference.registry

    # Helpers read the registry from standard input, which execute cannot give.
    result = rctx.execute(
        ["sh", "-c", "printf %s \"$2\" | \"$1\" get", "sh", program, key],
        timeout = _HELPER_TIMEOUT,
    )
    if result.return_code == 0:
        return read_helper_output(result.stdout, reference, helper)
    if "credentials not found" in result.stdout:
        return None, "{} has no entry for {}".format(helper, reference.registry)
    why = result.stderr.strip().partition("\n")[0][:200]
    return None, "{} get ended with code {}{}".format(helper, result.return_code, ": " + why if why else "")

def _ask_file(rctx, path, reference):
    if not rctx.path(path).exists:
        return None, ["no such file"]
    config = json.decode(rctx.read(path, watch = "no"), default = None)
    if type(config) != "dict":
        return None, ["it is not a JSON object"]
    notes = []
    helpers = []
    key = find_key(config.get("credHelpers"), reference)
    if key != None:
        helpers.append(config["credHelpers"][key])
    if config.get("credsStore"):
        helpers.append(config["credsStore"])
    for name in helpers:
        found, why = _ask_helper(rctx, name, reference)
        if found:
            return found, notes
        notes.append(why)
    key = find_key(config.get("auths"), reference)

    # An empty entry only says that the credentials are in the helper.
    if key != None and config["auths"][key] != {}:
        found, why = read_entry(config["auths"][key], reference, path)
        if found:
            return found, notes
        notes.append(why)
    return None, notes or ["no entry for " + reference.registry]

def find_credentials(rctx, reference):
    """Looks for the user's credentials for an image.

    Args:
      rctx: repository_ctx.
      reference: what parse_reference returned.

    Returns:
      A struct. `found` is None, or a struct of `auth` (dict: a value of repository_ctx.download's `auth`), `exchange`
      (bool: the registry's token server exchanges them for a token) and `source` (string: where they are from).
      `searched` is a list of string: each place that had none, with the reason. Secrets are in `auth` alone.
    """
    searched = []
    paths = config_paths(rctx.os.environ)
    for path in paths:
        found, notes = _ask_file(rctx, path, reference)
        if found:
            return struct(found = found, searched = searched)
        searched.append("{}: {}".format(path, "; ".join(notes)))
    if not paths:
        searched.append("nowhere: none of HOME, DOCKER_CONFIG, REGISTRY_AUTH_FILE and XDG_RUNTIME_DIR is set")
    return struct(found = None, searched = searched)
