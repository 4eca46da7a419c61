# shellcheck shell=bash
# The same kernel for arm64.
# shellcheck source=tools/bootstrap/kernel.sh
. "${here:?}/kernel.sh"
architecture=arm64
image=Image
variables=(FLEDGE_KERNEL_ARM64 FLEDGE_KERNEL_ARM64_MODULES FLEDGE_KERNEL_ARM64_CONFIG)
