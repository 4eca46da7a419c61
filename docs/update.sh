#!/bin/sh
# Puts the pages that are generated from docstrings into the source tree: ./bazelw run //docs:update
set -eu
docs=${BUILD_WORKSPACE_DIRECTORY:?is not set: run this with ./bazelw run //docs:update}/docs
for page; do
  cat "$page" >"$docs/$(basename "$page" .generated.md).md"
done
