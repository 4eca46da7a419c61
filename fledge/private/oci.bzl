"""OCI and Docker manifests: media types, indexes, platforms (OCI image specification; Docker image manifest v2.2)."""

load(":reference.bzl", "is_sha256")

_INDEX_TYPES = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]
_MANIFEST_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
MANIFEST_ACCEPT = _INDEX_TYPES + _MANIFEST_TYPES

_CONFIG_TYPES = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
]
_LAYER_TYPES = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
]

# containerd's rule: these are the same machine, so a missing variant stands for the named one.
_DEFAULT_VARIANTS = {"arm": "v7", "arm64": "v8"}

# More than any registry takes (the specification asks for 4 MiB manifests at least, a layer's entry is some 150 bytes).
_MAX_ENTRIES = 10000

def _list_of_dicts(value):
    return type(value) == "list" and len(value) <= _MAX_ENTRIES and all([type(v) == "dict" for v in value])

def _string(value):
    return value if type(value) == "string" else ""

def _error(why):
    return struct(error = why)

def parse_platform(platform):
    """Reads a platform.

    Args:
      platform: `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT` in Go's names, for example `linux/arm64`.

    Returns:
      A struct. `error` is None, or a string that says what is wrong, and then there is nothing else. `os`,
      `architecture` and `variant` are strings, `variant` "" when not there.
    """
    parts = platform.split("/")
    if len(parts) not in [2, 3] or not all(parts):
        why = "platform {}: expected OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, for example linux/amd64"
        return _error(why.format(repr(platform)))
    return struct(error = None, os = parts[0], architecture = parts[1], variant = parts[2] if len(parts) == 3 else "")

def _variant(architecture, variant):
    return variant or _DEFAULT_VARIANTS.get(architecture, "")

def _show(platform):
    os, architecture, variant = [_string(platform.get(k)) for k in ["os", "architecture", "variant"]]
    return "/".join([p for p in [os, architecture, variant] if p])

def select_platform(entries, platform):
    """Finds the entry of an index that is for a platform.

    A platform without a variant takes the entry without one or with the architecture's usual one (arm/v7, arm64/v8),
    and else the first of that architecture; a platform with a variant takes that variant alone.

    Args:
      entries: list of dict, the index's `manifests`.
      platform: what parse_platform returned.

    Returns:
      A struct. `error` is None, or a string that lists what the index has, and then there is nothing else. `entry` is
      the dict that was found.
    """
    first, seen = None, []
    for entry in entries:
        have = entry.get("platform")
        if type(have) != "dict":
            continue
        os, architecture, variant = [_string(have.get(k)) for k in ["os", "architecture", "variant"]]
        if os == "unknown":  # an attestation beside the images
            continue
        seen.append(_show(have))
        if os != platform.os or architecture != platform.architecture:
            continue
        if _variant(architecture, variant) == _variant(architecture, platform.variant):
            return struct(error = None, entry = entry)
        first = first or entry
    if first and not platform.variant:
        return struct(error = None, entry = first)
    return _error("the index has no {}; it has {}".format(
        _show({"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}),
        ", ".join(seen) or "no platform at all",
    ))

def check_platform(config, platform):
    """Checks that an image is for a platform, where a digest named the image itself and no index.

    Args:
      config: string, the image configuration (JSON).
      platform: what parse_platform returned.

    Returns:
      None, or a string that says what is wrong. A configuration that names no architecture passes.
    """
    have = json.decode(config, default = None)
    if type(have) != "dict":
        return "the image configuration is not a JSON object"
    os, architecture, variant = [_string(have.get(k)) for k in ["os", "architecture", "variant"]]
    if not architecture:
        return None
    same = os in ["", platform.os] and architecture == platform.architecture
    if same and (not platform.variant or _variant(architecture, variant) == _variant(architecture, platform.variant)):
        return None
    return "the image is for {}".format(_show(have))

def parse_manifest(text):
    """Reads an image index or an image manifest.

    Args:
      text: string, the JSON that a registry gave.

    Returns:
      A struct. `error` is None, or a string that says what is wrong, and then there is nothing else. For an index,
      `index` is True and `entries` a list of dict, each with a valid `digest`. For a manifest, `index` is False,
      `config` is the digest of the configuration and `layers` a list of struct(digest, media_type), base layer first.
    """
    manifest = json.decode(text, default = None)
    if type(manifest) != "dict":
        return _error("it is not a JSON object")
    if manifest.get("schemaVersion") == 1 or "fsLayers" in manifest:
        return _error("it is a Docker schema 1 manifest, which has no layer media types and no config; push the " +
                      "image again with a current tool, for example `skopeo copy --format oci`")
    media_type = _string(manifest.get("mediaType"))
    if media_type in _INDEX_TYPES or (not media_type and "manifests" in manifest):
        return _parse_index(manifest)
    if media_type in _MANIFEST_TYPES or (not media_type and "layers" in manifest):
        return _parse_image(manifest)
    return _error("media type {} is not an image; known are {}".format(repr(media_type), ", ".join(MANIFEST_ACCEPT)))

def _parse_index(manifest):
    entries = manifest.get("manifests")
    if not _list_of_dicts(entries):
        return _error("its manifests are not a list of objects")
    for entry in entries:
        if not is_sha256(entry.get("digest")):
            return _error("an entry's digest is not sha256: and 64 hexadecimal digits: " + repr(entry.get("digest")))
    return struct(error = None, index = True, entries = entries)

def _parse_image(manifest):
    config, layers = manifest.get("config"), manifest.get("layers")
    if type(config) != "dict" or not is_sha256(config.get("digest")):
        return _error("it has no config with a sha256 digest")
    if _string(config.get("mediaType")) not in _CONFIG_TYPES:
        return _error("it is no image but an artifact: its config is {}; known are {}".format(
            repr(config.get("mediaType")),
            ", ".join(_CONFIG_TYPES),
        ))
    if not _list_of_dicts(layers):
        return _error("its layers are not a list of objects")
    found = []
    for i, layer in enumerate(layers):
        digest, media_type = layer.get("digest"), layer.get("mediaType")
        if not is_sha256(digest):
            return _error("layer {}: the digest {} is not sha256: and 64 hexadecimal digits".format(i, repr(digest)))
        if media_type not in _LAYER_TYPES:
            return _error("layer {} ({}): unknown media type {}; known are {}".format(
                i,
                digest,
                repr(media_type),
                ", ".join(_LAYER_TYPES),
            ))
        found.append(struct(digest = digest, media_type = media_type))
    return struct(error = None, index = False, config = config["digest"], layers = found)
