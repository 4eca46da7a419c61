"""The fledge_kernel rule."""

load(":kernel_info.bzl", "FledgeKernelInfo")

def _fledge_kernel_impl(ctx):
    if not (ctx.file.bzimage or ctx.file.vmlinux or ctx.files.modules or ctx.file.config):
        fail("{}: give bzimage, vmlinux, modules or config".format(ctx.label))
    root = None
    for f in ctx.files.modules:
        if f.basename == "modules.builtin":
            root = f
    if ctx.files.modules and not root:
        fail("{}: modules: no modules.builtin among the {} files; give all files of lib/modules/RELEASE".format(
            ctx.label,
            len(ctx.files.modules),
        ))
    return [
        DefaultInfo(files = depset([f for f in [ctx.file.bzimage, ctx.file.vmlinux] if f])),
        FledgeKernelInfo(
            bzimage = ctx.file.bzimage,
            config = ctx.file.config,
            vmlinux = ctx.file.vmlinux,
            modules = depset(ctx.files.modules),
            modules_root = root,
        ),
    ]

fledge_kernel = rule(
    implementation = _fledge_kernel_impl,
    doc = """Declares a kernel, for the modules of a boot initramfs and for boot tests.

```starlark
fledge_kernel(
    name = "kernel",
    bzimage = "vmlinuz-6.1.0-cloud-amd64",
    config = "config-6.1.0-cloud-amd64",
    modules = glob(["lib/modules/6.1.0-cloud-amd64/**"]),
)
```

`modules` alone are enough for what goes into images; booting one needs `bzimage` or `vmlinux`. These two are the default outputs; no
action runs.

With `config` the build of an image for this kernel fails, and names every option that is missing, unless the kernel has what the
image needs: its file system and the compressor, overlay, virtio, dm-verity, what starts an initramfs; built in, or as one of
`modules`, which are then bundled.

A kernel is for one processor. Where images are built for several, say so with `target_compatible_with =
["@platforms//cpu:aarch64"]`, and let `select` choose the kernel.
""",
    attrs = {
        "bzimage": attr.label(
            allow_single_file = True,
            doc = "The kernel that QEMU boots: `arch/x86/boot/bzImage`, `/boot/vmlinuz-*`; for arm64 `Image`.",
        ),
        "config": attr.label(
            allow_single_file = True,
            doc = "The configuration of the same kernel: `/boot/config-*`, `/proc/config.gz`, or `.config`, complete as " +
                  "`make` leaves it and not a `defconfig`. Without it nothing is checked.",
        ),
        "modules": attr.label_list(
            allow_files = True,
            doc = "All files of `lib/modules/RELEASE` of the same kernel, `modules.builtin` among them. Leave out " +
                  "for a kernel that has virtio, squashfs and overlay built in.",
        ),
        "vmlinux": attr.label(
            allow_single_file = True,
            doc = "The uncompressed ELF kernel, for machines that boot it directly (PVH).",
        ),
    },
    provides = [FledgeKernelInfo],
)
