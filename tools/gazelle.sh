#!/bin/sh
# Writes the BUILD files of Go packages, without Bazel; with -mode=diff it shows what it would write and fails if that
# is anything. Arguments are those of gazelle update.
set -eu
cd -- "$(dirname -- "$0")/.."
GOFLAGS='' exec go run github.com/bazelbuild/bazel-gazelle/cmd/gazelle@v0.47.0 update -external=static "$@"
