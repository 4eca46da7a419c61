# shellcheck shell=bash disable=SC2154 # here, cache and bazel_dir are setup.sh's
# Go, the Bazel rules for it and stand-ins for what they only name, with an rc file that brings them to Bazel: for
# machines that reach a Go module proxy and not the Bazel Central Registry. Runs after bazel.sh.
go_version=1.25.0 # what rules_go downloads by default
go_sha256=891083c63e4d7a5020bdaa1911a9c5a1a966b993d9d3c1137d1727be04435e02
# Newer rules_go wants a bazel_features that Debian lacks; a newer gazelle has a nested module that its zip lacks.
rules_go=github.com/bazelbuild/rules_go@v0.60.0 rules_go_sum=h1:apGSxTTrFUyLNvX9NQmF4CbntWAO0/S5eALeVgB/6Qk=
gazelle=github.com/bazelbuild/bazel-gazelle@v0.47.0 gazelle_sum=h1:g3Rr1ZbkC1Pk20aOgBITxSD/efS1WbaSty5jC786Z3Q=

# go_proxy prints the first module proxy of the machine's Go configuration.
go_proxy() {
  local list=${GOPROXY:-}
  [ -n "$list" ] || list=$(go env GOPROXY 2>/dev/null || true)
  list=${list:-https://proxy.golang.org}
  list=$(awk '/^https?:/ && !n++' <<<"${list//[,|]/$'\n'}")
  [ -n "$list" ] || die "GOPROXY names no module proxy: set it, for instance to https://proxy.golang.org"
  printf '%s\n' "${list%/}"
}

# fetch_sdk TMP DIR: unpacks Go's own distribution, with Bazel's zip tool.
fetch_sdk() {
  local tmp=$1 dir=$2 name=golang.org/toolchain@v0.0.1-go$go_version.linux-amd64
  fetch "Go $go_version, 64 MB" "$(go_proxy)/${name/@//@v/}.zip" "$tmp/go.zip" "$go_sha256"
  rm -rf "$tmp/sdk"
  mkdir "$tmp/sdk"
  (cd "$tmp/sdk" && "$bazel_dir/base/embedded_tools/tools/zip/zipper/zipper" x "$tmp/go.zip")
  mv "$tmp/sdk/$name" "$dir"
  chmod -R a+rX "$dir"
  chmod 755 "$dir"/bin/* "$dir"/pkg/tool/*/*
}

# copy_module MODULE@VERSION SUM DIR: a writable copy of a Go module; module zips carry no run bits.
copy_module() {
  local module=$1 want=$2 dir=$3 json sum src
  json=$(cd "$tmp" && go mod download -json "$module") || die "$module could not be downloaded from $(go_proxy)"
  sum=$(sed -n 's/.*"Sum": "\(.*\)".*/\1/p' <<<"$json")
  [ "$sum" = "$want" ] || die "$module has checksum $sum, wanted $want"
  src=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$json")
  cp -r "$src" "$dir"
  chmod -R u+w "$dir"
  find "$dir" -name '*.sh' -exec chmod +x {} +
  rm -f "$dir/MODULE.bazel.lock"
}

# use_own_sdk MODULES: rules_go's default SDK is a download from go.dev; here it is the one beside it.
use_own_sdk() {
  local file=$1/rules_go/MODULE.bazel
  sed -i '/^go_sdk.from_file(/,/^)/c\
go_sdk.wrap(\
    goarch = "amd64",\
    goos = "linux",\
    root_file = "//:sdk/VERSION",\
    version = "'"$go_version"'",\
)' "$file"
  grep -q '//:sdk/VERSION' "$file" || die "rules_go's MODULE.bazel is not as this set-up knows it"
}

# prebuild_gazelle MODULES: gazelle compiles its repository tools in every output base; this copy links them in.
prebuild_gazelle() {
  local dir=$1/gazelle rule=$1/gazelle/internal/go_repository_tools.bzl
  log "building gazelle"
  (cd "$dir" && mkdir prebuilt && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o prebuilt/ \
    ./cmd/gazelle ./cmd/fetch_repo ./cmd/generate_repo_config) >&2
  sed -i '/^def _go_repository_tools_impl(ctx):/,/# add a build file to export the tools/{
/^def /!{/# add a build file/!d}
/^def /a\
    prebuilt = ctx.path(Label("//:WORKSPACE")).dirname.get_child("prebuilt")\
    for tool in ["gazelle", "fetch_repo", "generate_repo_config"]:\
        ctx.symlink(prebuilt.get_child(tool), "bin/" + tool)\

}' "$rule"
  grep -q 'get_child("prebuilt")' "$rule" || die "gazelle's go_repository_tools.bzl is not as this set-up knows it"
}

# register OUT NAME DIR VERSION...: a module of which only some workspaces have need, which --override_module would refuse in the
# others. The versions are those that MODULE.bazel files ask for; all are the same module.
register() {
  local out=$1 name=$2 dir=$3 version entry source
  shift 3
  source=$dir
  [ -d "$dir" ] || source=$out/modules/$name # not at its final place yet
  for version; do
    entry=$out/registry/modules/$name/$version
    mkdir -p "$entry"
    sed -e "1,/^)/{/^    version = /d;s/^    name = .*/&\n    version = \"$version\",/}" "$source/MODULE.bazel" >"$entry/MODULE.bazel"
    grep -q "^    version = \"$version\"" "$entry/MODULE.bazel" || die "$name's MODULE.bazel is not as this set-up knows it"
    printf '{"type": "local_path", "path": "%s"}\n' "$dir" >"$entry/source.json"
  done
}

write_registry() {
  local out=$1 final=$2
  mkdir -p "$out/registry"
  echo '{}' >"$out/registry/bazel_registry.json"
  register "$out" rules_go "$final/modules/rules_go" 0.53.0 0.60.0
  register "$out" gazelle "$final/modules/gazelle" 0.36.0 0.47.0
  register "$out" package_metadata "$final/modules/package_metadata" 0.0.5
  register "$out" rules_shell "$bazel_dir/base/rules/shell" 0.2.0 0.3.0 0.6.1
}

# write_rc OUT FINAL CACHE: every module comes from this machine.
write_rc() {
  local out=$1 final=$2 pair m
  echo "common --registry=file://$final/registry"
  echo "common --noenable_workspace"
  echo "common --lockfile_mode=off"
  echo "common --disk_cache=$3/disk"
  echo "common --experimental_disk_cache_gc_max_size=4G"
  for pair in platforms:tools/platforms bazel_features:tools/features bazel_skylib:tools/skylib rules_java:rules/java \
    rules_cc:rules/cc rules_license:rules/license rules_python:rules/python rules_proto:rules/proto; do
    echo "common --override_module=${pair%%:*}=$bazel_dir/base/${pair#*:}"
  done
  for m in apple_support buildozer protobuf zlib; do
    echo "common --override_module=$m=$final/modules/$m"
  done
}

write_launcher() {
  local final=$1
  cat <<A
#!/bin/sh
# Bazel with the modules of this set-up; the caller's environment, folder and user stay as they are.
exec '$bazel_dir/bin/bazel-real' --nosystem_rc --install_base='$bazel_dir/base' --trust_install_base \\
  --server_javabase='$bazel_dir/jdk' --host_jvm_args=-Xmx2g \\
  --host_jvm_args=-Djavax.net.ssl.trustStore='$final/cacerts' --bazelrc='$final/bazelrc' "\$@"
A
}

build() {
  local tmp=$1 final=$2 out=$1/out
  mkdir -p "$out/bin"
  cp -r "$here/modules" "$out/modules"
  fetch_sdk "$tmp" "$out/sdk"
  export PATH=$out/sdk/bin:$PATH GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod GOSUMDB=off GOPROXY
  GOPROXY=$(go_proxy)
  unset GOROOT
  copy_module "$rules_go" "$rules_go_sum" "$out/modules/rules_go"
  copy_module "$gazelle" "$gazelle_sum" "$out/modules/gazelle"
  prebuild_gazelle "$out/modules"
  (cd "$tmp" && go run "$here/truststore/main.go") >"$out/cacerts" ||
    die "the certificates that this machine trusts were not found"
  use_own_sdk "$out/modules"
  mv "$out/sdk" "$out/modules/rules_go/sdk"
  write_registry "$out" "$final"
  write_rc "$out" "$final" "$cache" >"$out/bazelrc"
  write_launcher "$final" >"$out/bin/bazel"
  chmod 755 "$out/bin/bazel"
  printf "%s='%s'\n" FLEDGE_BAZEL "$final/bin/bazel" FLEDGE_GOROOT "$final/modules/rules_go/sdk" >"$out/env"
}
