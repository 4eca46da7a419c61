//go:build !unix

package main

import "io"

// terminalWidth is 0, as for what is no terminal: lines are plain there.
func terminalWidth(io.Writer) int { return 0 }
