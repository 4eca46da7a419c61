# shellcheck shell=bash
# A kernel for boot tests, with its modules, out of Debian's packages.
suite=bookworm # a release: its kernel gets fixes only
meta=linux-image-cloud-amd64

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root package release
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  package=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
  [ -n "$package" ] || die "Debian $suite has no $meta"
  apt_unpack "$tmp/debs" "$root" "$package"
  release=${package#linux-image-}
  mv "$root/boot/vmlinuz-$release" "$out/bzImage"
  mv "$root/lib/modules" "$out/modules"
  rm -f "$out/modules/$release"/{build,source}
  printf "%s='%s'\n" FLEDGE_KERNEL_BZIMAGE "$final/bzImage" FLEDGE_KERNEL_MODULES "$final/modules/$release" >"$out/env"
}
