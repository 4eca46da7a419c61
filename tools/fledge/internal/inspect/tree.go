package inspect

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Tree writes a line an entry, as ls -l does, with names indented by their depth. With sizes, directories have the sum
// of what is in them, and what is stored stands beside the size.
func Tree(w io.Writer, a artifact.Artifact, path string, depth int, sizes bool) error {
	sums := map[string]Usage{}
	if sizes {
		s, err := Summarize(a, path, depth)
		if err != nil {
			return err
		}
		for _, d := range s.Directories {
			sums[d.Path] = d
		}
	}
	out := bufio.NewWriterSize(w, 1<<16)
	base := depthOf(path)
	first := map[uint64]string{}
	for e, err := range a.Walk(path) {
		if err != nil {
			return err
		}
		level := depthOf(e.Path) - base
		if depth >= 0 && level > depth {
			continue
		}
		size := treeSize(e, sums, sizes)
		note := ""
		switch {
		case e.Type == fstree.Symlink:
			note = " -> " + Printable(e.Target)
		case e.Type != fstree.Directory && e.Links > 1:
			if name, ok := first[e.Inode]; ok {
				note = " = " + Printable(name)
			} else {
				first[e.Inode] = e.Path
			}
		}
		for _, x := range e.Xattrs {
			note += fmt.Sprintf(" {%s, %d B}", Printable(x.Name), len(x.Value))
		}
		owner := fmt.Sprintf("%d:%d", e.UID, e.GID)
		fmt.Fprintf(out, "%s %-9s %s %s %s%s%s\n", modeString(e), owner, size,
			time.Unix(e.ModTime, 0).UTC().Format(time.DateTime), strings.Repeat("  ", level), Printable(e.Name()), note)
	}
	return out.Flush()
}

// treeSize is the column of the size: of a device its number, of a directory with sizes the sum.
func treeSize(e *artifact.Entry, sums map[string]Usage, sizes bool) string {
	size, stored := e.Size, e.Stored
	if e.Type == fstree.Directory {
		size, stored = sums[e.Path].Size, sums[e.Path].Stored
	}
	switch {
	case e.IsDevice():
		column := fmt.Sprintf("%12s", fmt.Sprintf("%d,%d", e.Major, e.Minor))
		if sizes {
			column += strings.Repeat(" ", 13)
		}
		return column
	case sizes:
		return fmt.Sprintf("%12d %12d", size, stored)
	}
	return fmt.Sprintf("%12d", size)
}

// modeString is the type and mode as ls has them.
func modeString(e *artifact.Entry) string {
	const letters = "rwxrwxrwx"
	b := []byte("?---------")
	b[0] = map[fstree.Type]byte{
		fstree.Directory: 'd', fstree.Regular: '-', fstree.Symlink: 'l', fstree.CharDevice: 'c', fstree.BlockDevice: 'b',
		fstree.FIFO: 'p', fstree.Socket: 's',
	}[e.Type]
	for i := range letters {
		if e.Mode>>(8-i)&1 != 0 {
			b[i+1] = letters[i]
		}
	}
	for _, s := range []struct {
		bit uint16
		at  int
		on  byte // with x; in capitals without
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		if e.Mode&s.bit == 0 {
			continue
		}
		if b[s.at] == 'x' {
			b[s.at] = s.on
		} else {
			b[s.at] = s.on - 'a' + 'A'
		}
	}
	return string(b)
}
