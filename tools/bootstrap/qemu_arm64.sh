# shellcheck shell=bash
# QEMU for arm64 guests. Its machine, virt, starts a kernel without firmware.
# shellcheck source=tools/bootstrap/qemu.sh
. "${here:?}/qemu.sh"
package=qemu-system-arm
program=qemu-system-aarch64
variable=FLEDGE_QEMU_ARM64
firmware=
