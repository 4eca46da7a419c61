# shellcheck shell=bash
# QEMU for boot tests, out of Debian's packages, with the libraries that it loads and the firmware of its PCs.
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
  local tmp=$1 final=$2 out=$1/out root=$1/root lib=$1/root/usr/lib/x86_64-linux-gnu f
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  # shellcheck disable=SC2046 # a list of names
  apt_unpack "$tmp/debs" "$root" $(apt_closure "$package" | grep -vxE "$drop")

  mkdir -p "$out"/{bin,lib,share}
  cp "$root/usr/bin/$program" "$out/bin/program"
  for f in $("$lib/ld-linux-x86-64.so.2" --library-path "$lib" --list "$out/bin/program" | grep -o "$lib/[^ ]*"); do
    cp -L "$f" "$out/lib/"
  done
  chmod 755 "$out/lib/ld-linux-x86-64.so.2"
  for f in $firmware; do
    cp -L "$(find "$root"/usr/share/{qemu,seabios} -name "$f" -type f | head -n1)" "$out/share/"
  done
  cat >"$out/bin/$program" <<A
#!/bin/sh
exec '$final/lib/ld-linux-x86-64.so.2' --library-path '$final/lib' '$final/bin/program' -L '$final/share' "\$@"
A
  chmod 755 "$out/bin/$program"
  "$out/lib/ld-linux-x86-64.so.2" --library-path "$out/lib" "$out/bin/program" --version >/dev/null ||
    die "the QEMU of Debian $suite does not start"
  echo "$variable='$final/bin/$program'" >"$out/env"
}
