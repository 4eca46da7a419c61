# shellcheck shell=bash
# Programs out of Debian's packages, with a C library and all others of their own.

# lay_out_program ROOT OUT FINAL PROGRAM [ARGUMENT...]: copies the program of that path in ROOT, and the libraries that it
# loads, to OUT, which becomes FINAL. It is started, with the arguments before those of the caller, by FINAL/bin/NAME.
lay_out_program() {
  local root=$1 out=$2 final=$3 name=${4##*/} lib=$1/usr/lib/x86_64-linux-gnu f
  mkdir -p "$out"/{bin,lib,libexec}
  cp "$root/$4" "$out/libexec/$name"
  shift 4
  for f in $("$lib/ld-linux-x86-64.so.2" --library-path "$lib" --list "$out/libexec/$name" | grep -o "$lib/[^ ]*"); do
    [ -e "$out/lib/${f##*/}" ] || cp -L "$f" "$out/lib/"
  done
  chmod 755 "$out/lib/ld-linux-x86-64.so.2"
  cat >"$out/bin/$name" <<A
#!/bin/sh
exec '$final/lib/ld-linux-x86-64.so.2' --library-path '$final/lib' '$final/libexec/$name'${1:+$(printf " '%s'" "$@")} "\$@"
A
  chmod 755 "$out/bin/$name"
}

# check_program OUT NAME SUITE [ARGUMENT]: fails unless a program of a part that is being made starts, and prints its
# version.
check_program() {
  "$1/lib/ld-linux-x86-64.so.2" --library-path "$1/lib" "$1/libexec/$2" "${4:---version}" >/dev/null ||
    die "the $2 of Debian $3 does not start"
}
