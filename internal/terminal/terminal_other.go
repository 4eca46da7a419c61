//go:build !unix

package terminal

import "io"

// Width is 0, as for what is no terminal: lines are plain there.
func Width(io.Writer) int { return 0 }
