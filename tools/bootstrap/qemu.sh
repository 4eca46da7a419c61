# shellcheck shell=bash
# QEMU for boot tests, out of Debian's packages, with the libraries that it loads and the firmware of its PCs.
# shellcheck source=tools/bootstrap/programs.sh
. "${here:?}/programs.sh"
suite=sid
package=qemu-system-x86
program=qemu-system-x86_64
variable=FLEDGE_QEMU

# What no boot test uses: sound, smart cards, services, the display and USB modules.
drop='systemd|libsystemd-shared|libnss3|libnspr4|libsqlite3-0|libcacard0|libbrlapi.*|libasound2.*|openssl.*'
drop+='|libc-gconv-.*|libsasl2-modules-db|libdb5.*|gcc-.*-base|libpcsclite1|qemu-system-common|libncurses.*|libtinfo.*'

# The machines pc, q35 and microvm with virtio devices.
firmware="bios-256k.bin bios.bin bios-microvm.bin qboot.rom linuxboot_dma.bin multiboot_dma.bin pvh.bin kvmvapic.bin"
firmware+=" efi-virtio.rom vgabios-stdvga.bin"

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root f
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  # shellcheck disable=SC2046 # a list of names
  apt_unpack "$tmp/debs" "$root" $(apt_closure "$package" | grep -vxE "$drop")

  mkdir -p "$out/share"
  for f in $firmware; do
    cp -L "$(find "$root"/usr/share/{qemu,seabios} -name "$f" -type f | head -n1)" "$out/share/"
  done
  lay_out_program "$root" "$out" "$final" "usr/bin/$program" -L "$final/share"
  check_program "$out" "$program" "$suite"
  echo "$variable='$final/bin/$program'" >"$out/env"
}
