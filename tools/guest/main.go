// Command guest is the guest half of a solve.
package main

import "github.com/fledge-build/fledge/tools/guest/internal/buildkit"

func main() { buildkit.Link() }
