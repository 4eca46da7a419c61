# shellcheck shell=bash
# The newest mksquashfs, for the benchmark to compare with: Debian sid's, with the libraries that it loads.

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root lib=$1/root/usr/lib/x86_64-linux-gnu f
  rm -rf "$root"
  apt_init "$tmp/apt" sid
  # shellcheck disable=SC2046 # a list of names
  apt_unpack "$tmp/debs" "$root" $(apt_closure squashfs-tools)

  mkdir -p "$out/lib"
  cp "$root/usr/bin/mksquashfs" "$out/program"
  for f in $("$lib/ld-linux-x86-64.so.2" --library-path "$lib" --list "$out/program" | grep -o "$lib/[^ ]*"); do
    cp -L "$f" "$out/lib/"
  done
  cat >"$out/mksquashfs" <<A
#!/bin/sh
exec '$final/lib/ld-linux-x86-64.so.2' --library-path '$final/lib' '$final/program' "\$@"
A
  chmod 755 "$out/mksquashfs" "$out/lib/ld-linux-x86-64.so.2"
  "$out/lib/ld-linux-x86-64.so.2" --library-path "$out/lib" "$out/program" -version >/dev/null ||
    die "the mksquashfs of Debian sid does not start"
  echo "FLEDGE_MKSQUASHFS='$final/mksquashfs'" >"$out/env"
}
