# shellcheck shell=bash
# A kernel for boot tests, with its modules and configuration, out of Debian's packages.
suite=bookworm # a release: its kernel gets fixes only
architecture=amd64
image=bzImage
variables=(FLEDGE_KERNEL_BZIMAGE FLEDGE_KERNEL_MODULES FLEDGE_KERNEL_CONFIG)

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root meta=linux-image-cloud-$architecture package release
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite" "$architecture"
  package=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
  [ -n "$package" ] || die "Debian $suite has no $meta"
  apt_unpack "$tmp/debs" "$root" "$package"
  release=${package#linux-image-}
  mv "$root/boot/vmlinuz-$release" "$out/$image"
  mv "$root/boot/config-$release" "$out/config"
  mv "$root/lib/modules" "$out/modules"
  rm -f "$out/modules/$release"/{build,source}
  printf "%s='%s'\n" "${variables[0]}" "$final/$image" "${variables[1]}" "$final/modules/$release" \
    "${variables[2]}" "$final/config" >"$out/env"
}
