"""Fledge's rules: OCI images and your own files as bootable microVM images.

```starlark
load("@fledge//fledge:defs.bzl", "fledge_boot_test", "fledge_initramfs", "fledge_rootfs")
```

Images of registries, and the kernel of boot tests, come from the module extension: docs/extension.md.
"""

load("//fledge/private:boot_test.bzl", _fledge_boot_test = "fledge_boot_test")
load("//fledge/private:dockerfile.bzl", _fledge_dockerfile = "fledge_dockerfile")
load("//fledge/private:image_info.bzl", _FledgeImageInfo = "FledgeImageInfo")
load("//fledge/private:initramfs.bzl", _fledge_initramfs = "fledge_initramfs")
load("//fledge/private:kernel.bzl", _fledge_kernel = "fledge_kernel")
load("//fledge/private:kernel_info.bzl", _FledgeKernelInfo = "FledgeKernelInfo")
load("//fledge/private:layers.bzl", _fledge_layers = "fledge_layers")
load("//fledge/private:layout.bzl", _fledge_layout = "fledge_layout")
load("//fledge/private:providers.bzl", _FledgeLayersInfo = "FledgeLayersInfo")
load(
    "//fledge/private:qemu_toolchain.bzl",
    _fledge_cloud_hypervisor_toolchain = "fledge_cloud_hypervisor_toolchain",
    _fledge_qemu_toolchain = "fledge_qemu_toolchain",
)
load("//fledge/private:rootfs.bzl", _fledge_rootfs = "fledge_rootfs")
load("//fledge/private:solver.bzl", _fledge_solver = "fledge_solver")

FledgeImageInfo = _FledgeImageInfo
FledgeKernelInfo = _FledgeKernelInfo
FledgeLayersInfo = _FledgeLayersInfo
fledge_boot_test = _fledge_boot_test
fledge_cloud_hypervisor_toolchain = _fledge_cloud_hypervisor_toolchain
fledge_dockerfile = _fledge_dockerfile
fledge_initramfs = _fledge_initramfs
fledge_kernel = _fledge_kernel
fledge_layers = _fledge_layers
fledge_layout = _fledge_layout
fledge_qemu_toolchain = _fledge_qemu_toolchain
fledge_rootfs = _fledge_rootfs
fledge_solver = _fledge_solver
