#!/bin/sh
# Formats Bazel files; with -mode=check it shows what is not formatted and fails if anything is. Arguments are
# buildifier's.
set -eu
cd -- "$(dirname -- "$0")/.."
git ls-files -z --cached --others --exclude-standard -- '*.bazel' '*.bzl' | GOFLAGS='' xargs -0 \
  go run github.com/bazelbuild/buildtools/buildifier@v0.0.0-20260904073137-eaa4d125b423 -lint=warn "$@"
