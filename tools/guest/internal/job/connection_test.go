//go:build linux

package job

import (
	"strings"
	"testing"

	"github.com/docker/cli/cli/connhelper/commandconn"
)

// TestExplained writes to a command that no longer reads, as one does that ends before the first byte is written.
func TestExplained(t *testing.T) {
	c, err := commandconn.New(t.Context(), "sh", "-c", "exec <&-; echo closed; sleep 0.1; echo 'no such container' >&2; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line := make([]byte, len("closed\n"))
	if _, err := c.Read(line); err != nil {
		t.Fatal(err)
	}
	if _, err := (explained{c}).Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Errorf("error %v, want the command's words", err)
	}
}
