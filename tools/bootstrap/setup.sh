#!/usr/bin/env bash
# Sets up in a cache folder what this machine lacks to build and boot-test the repository, and prints where it is as
# shell assignments. Usage: setup.sh CACHE PART..., of the parts bazel, go (after bazel), qemu and kernel, for arm64
# guests qemu_arm64 and kernel_arm64, for tests of remote execution buildbox, and for the benchmark mksquashfs.
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/bootstrap/lib.sh
. "$here/lib.sh"
cache=$1
shift

# What a part is made of: it is made again, beside the old one, when any of this changes.
declare -A sources=(
  [bazel]="bazel.sh"
  [go]="bazel.sh go.sh modules truststore"
  [qemu]="programs.sh qemu.sh"
  [kernel]="kernel.sh"
  [qemu_arm64]="programs.sh qemu.sh qemu_arm64.sh"
  [kernel_arm64]="kernel.sh kernel_arm64.sh"
  [buildbox]="programs.sh buildbox.sh"
  [mksquashfs]="programs.sh mksquashfs.sh"
)

# stamp NAME: names the state of a part's sources, and its place, which is written into programs.
stamp() {
  local files
  cd "$here"
  # shellcheck disable=SC2086 # a list of names
  files=$(find lib.sh ${sources[$1]} -type f | LC_ALL=C sort)
  # shellcheck disable=SC2086
  { echo "$cache" $files; cat $files; } | sha256sum | cut -c1-12
}

# remove_old NAME NEW: another checkout may use an older one, so only what nobody started for three days goes.
remove_old() {
  local old
  for old in "$cache/$1"-????????????; do
    [ "$old" = "$2" ] || [ -n "$(find "$old/used" -mtime -3 2>/dev/null)" ] || rm -rf "$old"
  done
}

# make NAME DIR: makes a part in a folder of its own and renames that in the end.
make() {
  local name=$1 final=$2 tmp=$cache/tmp.$1
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the set-up is for Linux on x86_64: install Bazelisk instead"
  need flock util-linux
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock -n 9 || { log "waiting for another set-up in $cache"; flock 9; }
  [ ! -d "$final" ] || return 0
  log "setting up $name in $final"
  rm -rf "$tmp/out"
  mkdir -p "$tmp/out"
  # shellcheck source=/dev/null
  (. "$here/$name.sh" && build "$tmp" "$final")
  touch "$tmp/out/used"
  sync -f "$tmp/out" # or a machine that loses power might keep the name without all of the bytes
  mv "$tmp/out" "$final"
  rm -rf "$tmp"
  remove_old "$name" "$final"
  log "$name is ready: $(megabytes "$final") MB, after ${SECONDS}s"
}

for name; do
  dir=$cache/$name-$(stamp "$name")
  # The lock is held in a subshell, so that neither it nor its file outlives the part.
  [ -d "$dir" ] || (make "$name" "$dir")
  { : >"$dir/used"; } 2>/dev/null || true # somebody else's cache folder
  sed 's/^/export /' "$dir/env"
  # shellcheck disable=SC2034 # read by go.sh
  [ "$name" != bazel ] || bazel_dir=$dir
done
