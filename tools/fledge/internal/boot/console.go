package boot

import (
	"io"
	"sync"

	"github.com/fledge-build/fledge/internal/vmm"
)

// maxLine bounds the line in which console looks for a failure.
const maxLine = 4096

// console shows what the guest prints.
type console struct {
	to       io.Writer
	terminal bool       // to is one: it gets carriage returns, too
	broken   chan error // the first error of writing; has room for it

	mu    sync.Mutex
	line  []byte
	cause string // the last line that tells of a failure
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shown := make([]byte, 0, len(p))
	for _, b := range p {
		if b != '\r' || c.terminal {
			shown = append(shown, b)
		}
		switch {
		case b == '\n':
			if line := string(c.line); vmm.TellsFailure(line) {
				c.cause = line
			}
			c.line = c.line[:0]
		case b != '\r' && len(c.line) < maxLine:
			c.line = append(c.line, b)
		}
	}
	if _, err := c.to.Write(shown); err != nil {
		select {
		case c.broken <- err:
		default:
		}
		return 0, err
	}
	return len(p), nil
}

func (c *console) failure() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Keys of a terminal, as QEMU has them: Ctrl-A and then x ends the machine, and Ctrl-A twice is one for the guest.
const (
	escapeKey = 'A' & 0x1f
	quitKey   = 'x'
)

// keyboard reads a terminal and takes out what is for fledge.
type keyboard struct {
	from    io.Reader
	quit    func()
	escaped bool // the last key was Ctrl-A
}

func (k *keyboard) Read(p []byte) (int, error) {
	for {
		n, err := k.from.Read(p)
		kept := k.take(p[:n])
		if kept > 0 || err != nil || n == 0 {
			return kept, err
		}
	}
}

// take moves what is for the guest to the front.
func (k *keyboard) take(p []byte) (kept int) {
	for _, b := range p {
		switch {
		case !k.escaped && b == escapeKey:
			k.escaped = true
			continue
		case k.escaped && b == quitKey:
			k.quit()
			k.escaped = false
			continue
		}
		k.escaped = false // what follows Ctrl-A and is no command is the guest's
		p[kept] = b
		kept++
	}
	return kept
}
