//go:build !unix

package cli

import "io"

// TerminalWidth is 0, as for what is no terminal: lines are plain there.
func TerminalWidth(io.Writer) int { return 0 }
