# shellcheck shell=bash
# A remote execution server for tests, out of Debian's packages: buildbox-casd with its runner, which puts every action
# into a sandbox of bubblewrap.
# shellcheck source=tools/bootstrap/programs.sh
. "${here:?}/programs.sh"
suite=sid # no release has it

# What the server does without: FUSE's mount program, the rest of libraries that it loads.
drop='gcc-.*-base|libc-gconv-.*|openssl-.*|libsasl2-modules-db|fuse3|mount|libmount1|libblkid1|libsmartcols1|libsystemd0|libdb5.*'

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root program
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  # shellcheck disable=SC2046 # a list of names
  apt_unpack "$tmp/debs" "$root" $(apt_closure buildbox | grep -vxE "$drop")
  for program in buildbox-casd buildbox-run-bubblewrap bwrap; do
    lay_out_program "$root" "$out" "$final" "usr/bin/$program"
    check_program "$out" "$program" "$suite"
  done
  echo "FLEDGE_BUILDBOX='$final/bin'" >"$out/env"
}
