#!/bin/sh
# Prints the machine's own Bazel if it is one that builds this repository: 7.7 or later, or a Bazelisk that gets the
# version of .bazelversion. Usage: host-bazel.sh CACHE. The answer is kept in the cache folder until the
# program changes.
set -eu
cache=$1
cd -- "$(dirname -- "$0")/../.."
bazel=$(command -v bazelisk || command -v bazel) || exit 0
key="$bazel $(stat -L -c '%Y %s' "$bazel") $(cat .bazelversion)"
answer=$cache/host-bazel

if [ "$(head -n1 "$answer" 2>/dev/null)" != "$key" ]; then
  version=$(timeout 300 "$bazel" --version </dev/null 2>/dev/null |
    sed -n 's/^bazel \([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || true
  # shellcheck disable=SC2086 # two numbers
  set -- ${version:-0 0}
  if [ "$1" -gt 7 ] || { [ "$1" -eq 7 ] && [ "$2" -ge 7 ]; }; then works=yes; else works=no; fi
  [ $works = yes ] || echo "[fledge] $bazel is not a Bazel 7.7 or later, nor can it get one: not used (see $answer)" >&2
  mkdir -p "$cache"
  printf '%s\n%s\n' "$key" $works >"$answer.$$"
  mv "$answer.$$" "$answer"
fi
[ "$(tail -n1 "$answer")" = no ] || printf '%s\n' "$bazel"
