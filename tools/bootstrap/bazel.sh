# shellcheck shell=bash
# Bazel 7.7.1 and its Java out of Debian's packages, without root and without a chroot: the packages are unpacked,
# and their programs are pointed at a C library of their own, so that they run on any x86-64 Linux.
bazel_version=7.7.1
suite=sid # the only one with a Bazel that knows modules

# Of all that apt would install, what Bazel itself runs with.
keep='bazel-.*|openjdk-[0-9]+-jre-headless|velocity|patchelf|libc6|libgcc-s1|libstdc\+\+6|zlib1g|libabsl[0-9]+'
keep+='|libcares2|libre2-[0-9]+|libgrpc[0-9]+(t64)?|libgrpc\+\+.*|libprotobuf[0-9]+t64|libssl3t64|libzstd1|lib.*-java'
drop='lib(jetty9|bcprov|jgit|maven|plexus|sisu|guice|eclipse-jdt|log4j|jackson|wagon|jsch|javaparser|animal-sniffer'
drop+='|httpclient|httpcore|junixsocket|cdi-api|bsh|asm|jacoco|jarjar|el-api|jsp-api|servlet-api|websocket|lightcouch'
drop+='|activation|jaxb|commons-parent|apache-pom|stax2|cglib|aopalliance|jta|geronimo-interceptor|jzlib|javaewah'
drop+='|isorelax).*'

helpers=(build-runfiles process-wrapper daemonize linux-sandbox embedded_tools/tools/zip/zipper/zipper)

# lay_out_java ROOT OUT: the private Java, without what only people read.
lay_out_java() {
  local root=$1 out=$2 link target
  cp -a "$root"/usr/lib/jvm/java-[0-9][0-9]-openjdk-amd64 "$out/jdk"
  rm -rf "$out"/jdk/{docs,man,legal,include,jmods} "$out"/jdk/lib/server/classes_*.jsa
  find "$out/jdk" -type l | while read -r link; do
    target=$(readlink "$link")
    case $target in
    /etc/*)
      rm "$link"
      [ ! -e "$root$target" ] || cp -aL "$root$target" "$link"
      ;;
    *) [ -e "$link" ] || rm "$link" ;;
    esac
  done
}

# lay_out_bazel ROOT OUT FINAL: Bazel's install base, with the class path at its final place.
lay_out_bazel() {
  local root=$1 out=$2 final=$3 lib=$1/usr/lib/x86_64-linux-gnu classpath=bazel_classpath_debian_depends.txt p jar
  cp -a "$root/usr/share/bazel" "$out/base"
  for p in "${helpers[@]}"; do
    rm -f "$out/base/$p"
    cp "$root/usr/libexec/x86_64-linux-gnu/bazel/${p##*/}" "$out/base/$p"
  done
  rm -f "$out/base/libcpu_profiler.so"
  cp -L "$lib/bazel/libcpu_profiler.so" "$out/base/"
  cp "$root/usr/bin/bazel" "$out/bin/bazel-real"
  # The package's own list lacks what its libraries need in turn.
  for jar in $(cat "$root/usr/share/bazel/$classpath") \
    /usr/share/java/{perfmark-api,protobuf,commons-collections3,commons-lang3,slf4j-api}.jar; do
    [ -e "$root$jar" ] || continue
    cp -L "$root$jar" "$out/java/"
    echo "$final/java/${jar##*/}"
  done >"$out/base/$classpath"
}

# relocate ROOT OUT FINAL: gives every program the private loader and library path. It is DT_RPATH, not RUNPATH, because
# it has to reach libraries that are opened at run time.
relocate() {
  local root=$1 out=$2 final=$3 f old
  patch_elf() { "$out/lib/ld-linux-x86-64.so.2" --library-path "$out/lib" "$root/usr/bin/patchelf" "$@"; }
  for f in "$out"/bin/* "${helpers[@]/#/$out/base/}" "$out"/jdk/bin/* "$out"/jdk/lib/{jspawnhelper,jexec}; do
    if [ ! -f "$f" ] || [ -L "$f" ]; then continue; fi
    [ "$(head -c4 "$f" | tail -c3)" = ELF ] || continue
    old=$(patch_elf --print-rpath "$f")
    patch_elf --set-interpreter "$final/lib/ld-linux-x86-64.so.2" \
      --force-rpath --set-rpath "${old:+$old:}$final/lib" "$f"
  done
  chmod 755 "$out/lib/ld-linux-x86-64.so.2"
}

build() {
  local tmp=$1 final=$2 out=$1/out root=$1/root packages have
  rm -rf "$root"
  apt_init "$tmp/apt" "$suite"
  packages=$(apt_closure bazel-bootstrap bazel-rules-shell patchelf | grep -xE "$keep" | grep -vxE "$drop")
  # shellcheck disable=SC2086 # a list of names
  apt_unpack "$tmp/debs" "$root" $packages

  mkdir -p "$out"/{bin,lib,java}
  find "$root/usr/lib/x86_64-linux-gnu" -maxdepth 1 -name '*.so*' -exec cp -a {} "$out/lib/" \;
  lay_out_java "$root" "$out"
  lay_out_bazel "$root" "$out" "$final"
  relocate "$root" "$out" "$final"
  have=$(cat "$out/base/build-label.txt")
  [ "$have" = "$bazel_version" ] || die "Debian $suite now has Bazel $have, and this set-up is for $bazel_version"
  : >"$out/env" # go.sh writes the launcher
}
