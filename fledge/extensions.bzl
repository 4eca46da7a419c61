"""Fledge's module extension: what it fetches or finds, as repositories.

```starlark
fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
```

The rules that use them are in docs/rules.md.
"""

load("//fledge/private:agent_tags.bzl", "agent_tag", "declare_agents")
load("//fledge/private:busybox_tags.bzl", "busybox_tag", "declare_busybox")
load("//fledge/private:host_tags.bzl", "declare_host", "kernel_tag")
load("//fledge/private:image_tags.bzl", "declare_images", "image_tag", "registry_tag")

def _fledge_impl(module_ctx):
    agents = declare_agents(module_ctx)
    busybox_deps = declare_busybox(module_ctx)
    images = declare_images(module_ctx)
    host = declare_host(module_ctx)
    return module_ctx.extension_metadata(
        reproducible = True,
        root_module_direct_deps = agents.deps + busybox_deps + images.deps + host.deps,
        root_module_direct_dev_deps = agents.dev_deps + images.dev_deps + host.dev_deps,
    )

fledge = module_extension(
    implementation = _fledge_impl,
    doc = "Makes repositories of OCI images (`fledge.image`), from registries that `fledge.registry` tells more about, " +
          "of the agent (`fledge.agent`) and busybox (`fledge.busybox`) that go into images, and of the kernel that " +
          "the environment names (`fledge.kernel`).",
    tag_classes = {
        "agent": agent_tag,
        "busybox": busybox_tag,
        "image": image_tag,
        "kernel": kernel_tag,
        "registry": registry_tag,
    },
)
