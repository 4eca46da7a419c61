# shellcheck shell=bash
# The newest mksquashfs, for the benchmark to compare with: Debian sid's, with the libraries that it loads.
# shellcheck source=tools/bootstrap/programs.sh
. "${here:?}/programs.sh"
suite=sid

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  # shellcheck disable=SC2046 # a list of names
  apt_unpack "$tmp/debs" "$root" $(apt_closure squashfs-tools)
  lay_out_program "$root" "$out" "$final" usr/bin/mksquashfs
  check_program "$out" mksquashfs "$suite" -version
  echo "FLEDGE_MKSQUASHFS='$final/bin/mksquashfs'" >"$out/env"
}
