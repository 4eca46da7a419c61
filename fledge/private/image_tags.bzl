"""The tag classes `image` and `registry` of the module extension, and the repositories that they make."""

load(":image_repo.bzl", "image_repo")
load(":reference.bzl", "parse_reference")

image_tag = tag_class(
    doc = """Fetches an OCI image from a registry, pinned by digest.

```starlark
fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
fledge.image(
    name = "nginx",
    digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    image = "nginx:alpine",
)
use_repo(fledge, "nginx")
```

`@nginx` is the image, for the `image` attribute of the rules; `@nginx//:layer_0`, `@nginx//:layer_1`, … are its layers
as the registry has them, base layer first, and `@nginx//:config` its configuration. Nothing is fetched before a build
needs it. See docs/images.md for credentials, mirrors and builds without a network.
""",
    attrs = {
        "digest": attr.string(
            doc = "`sha256:HEX` of the image's index or manifest. It alone decides what is fetched; a tag beside it " +
                  "is for the reader and for update bots. It may stand in `image` instead (`nginx:alpine@sha256:…`). " +
                  "Without it the build fails and prints the line to add.",
        ),
        "image": attr.string(
            mandatory = True,
            doc = "The image: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`. Short names are Docker Hub's (`nginx` is " +
                  "`docker.io/library/nginx`). A registry on this machine (`localhost`, `127.0.0.0/8`, `[::1]`) is " +
                  "asked by plain HTTP, every other by HTTPS.",
        ),
        "name": attr.string(
            mandatory = True,
            doc = "The name of the repository and of the target in it. Not `config` or `layer_N`: those are taken.",
        ),
        "platform": attr.string(
            default = "linux/amd64",
            doc = "The platform to take: `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`. An image without an index " +
                  "that is for another platform is an error.",
        ),
    },
)

registry_tag = tag_class(
    doc = """Names the token server of a registry that wants bearer tokens and is not among the well-known ones.

Well known are Docker Hub, ghcr.io, quay.io, public.ecr.aws, registry.gitlab.com, `*.azurecr.io`, cgr.dev,
docker.elastic.co, lscr.io, nvcr.io and `*.app.snowflake.com`. Registries that take requests without credentials, or
with a user and password, need no tag either.

```starlark
fledge.registry(
    host = "gitlab.example.com:5050",
    service = "container_registry",
    token_url = "https://gitlab.example.com/jwt/auth",
)
```

`curl -si https://HOST/v2/ | grep -i www-authenticate` shows both. A tag counts for the images of its own module; those
of the root module count for all.
""",
    attrs = {
        "host": attr.string(
            mandatory = True,
            doc = "The registry as image references have it, with its port if it has one.",
        ),
        "service": attr.string(
            doc = "The `service` of its `WWW-Authenticate` header, by which the token server knows it. Default: " +
                  "none is sent.",
        ),
        "token_url": attr.string(
            mandatory = True,
            doc = "The `realm` of its `WWW-Authenticate` header, an https URL. Credentials are sent there.",
        ),
    },
)

def _taken(name):
    return name == "config" or (name.startswith("layer_") and name.removeprefix("layer_").isdigit())

def _read_registries(module):
    registries = {}
    for tag in module.tags.registry:
        if not tag.token_url.startswith("https://"):
            fail("fledge.registry {}: token_url {} must be an https URL".format(repr(tag.host), repr(tag.token_url)))
        registries[tag.host] = (tag.token_url, tag.service)
    return registries

def _repo_attrs(tag, registries):
    reference = parse_reference(tag.image)  # a bad one is reported when the image is used
    token_url, token_service = registries.get(reference.host, ("", "")) if not reference.error else ("", "")
    return dict(
        digest = tag.digest,
        image = tag.image,
        image_name = tag.name,
        platform = tag.platform,
        token_service = token_service,
        token_url = token_url,
    )

def declare_images(module_ctx):
    """Makes the repositories of all `image` tags.

    Two modules may declare one image alike and share it; declared differently, the name is an error.

    Args:
      module_ctx: the module extension's context.

    Returns:
      A struct of `deps` and `dev_deps`, lists of string: what the root module is to name in use_repo.
    """
    for_all = {}
    for module in module_ctx.modules:
        if module.is_root:
            for_all = _read_registries(module)
    images = {}  # name -> (module's name, attributes)
    deps, dev_deps = [], []
    for module in module_ctx.modules:
        registries = _read_registries(module) | for_all
        for tag in module.tags.image:
            if _taken(tag.name):
                fail("fledge.image {}: the name is that of a target beside it; choose another".format(repr(tag.name)))
            attrs = _repo_attrs(tag, registries)
            other, known = images.get(tag.name, ("", attrs))
            if known != attrs:
                fail("fledge.image {}: modules {} and {} declare it differently; rename one".format(
                    repr(tag.name),
                    other,
                    module.name,
                ))
            images[tag.name] = (module.name, attrs)
            if module.is_root:
                (dev_deps if module_ctx.is_dev_dependency(tag) else deps).append(tag.name)
    for name, (_, attrs) in images.items():
        image_repo(name = name, **attrs)
    return struct(deps = deps, dev_deps = dev_deps)
