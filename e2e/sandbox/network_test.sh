#!/bin/sh
# Actions and tests run without network: in a network namespace that has the loopback interface alone.
set -eu
for seen in e2e/sandbox/action_interfaces.txt /proc/net/dev; do
  others=$(grep : "$seen" | cut -d: -f1 | grep -vx ' *lo' || true)
  [ -z "$others" ] || { echo "FAIL: $seen has other interfaces than lo:$others" >&2; exit 1; }
done
