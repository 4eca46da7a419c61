// Package busybox finds the applets of a busybox program, and where `busybox --install` would put them, in its bytes: the
// program is often one for another machine and cannot be run.
package busybox

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/fledge-build/fledge/internal/elfinfo"
	"github.com/fledge-build/fledge/internal/fstree"
)

// Path is where the program goes in an image.
const Path = "bin/busybox"

// directories are where an applet can be installed, by the number that busybox has for it (include/libbb.h, BB_DIR_*).
var directories = []string{"", "bin/", "sbin/", "usr/bin/", "usr/sbin/"}

// usual are the numbers of applets that every configuration with an installer agrees about. They tell the table of
// directories from other data.
var usual = map[string]byte{
	"ash": 1, "cat": 1, "cp": 1, "grep": 1, "ls": 1, "mount": 1, "ps": 1, "sed": 1, "sh": 1,
	"halt": 2, "ifconfig": 2, "init": 2, "modprobe": 2, "reboot": 2, "udhcpc": 2,
	"[": 3, "awk": 3, "env": 3, "find": 3, "head": 3, "tail": 3, "test": 3, "wc": 3,
	"chroot": 4, "httpd": 4, "telnetd": 4,
}

const (
	minApplets = 8  // fewer sorted words in a row can be anything
	maxName    = 32 // bytes; the longest applet has 15
	minUsual   = 3  // applets that must agree before a table counts
)

// Applets lists the paths of a program's applets, in the order of their names. A program without an installer has no
// table of directories: its applets go to bin.
func Applets(program []byte) ([]string, error) {
	if _, ok := elfinfo.Read(program, false); !ok {
		return nil, errors.New("not a Linux program")
	}
	names := appletNames(program)
	if len(names) < minApplets {
		return nil, errors.New("it has no list of applets: is it busybox?")
	}
	table := directoryTable(program, names)
	var paths []string
	for i, name := range names {
		dir := directories[1]
		if table != nil {
			dir = directories[nibble(table, i)]
		}
		if path := dir + name; path != Path {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// appletNames is the longest sorted list of words in the program, each ended by a NUL (applet_names, which busybox looks
// names up in by bisection).
func appletNames(program []byte) []string {
	var best, run []string
	for len(program) > 0 {
		word, rest, found := bytes.Cut(program, []byte{0})
		if !found {
			break
		}
		program = rest
		name := string(lastWord(word))
		switch {
		case len(name) == len(word) && len(run) > 0 && name > run[len(run)-1] && isName(name):
			run = append(run, name)
		case isName(name):
			run = []string{name}
		default:
			run = nil
		}
		if len(run) > len(best) {
			best = run
		}
	}
	return best
}

// lastWord is the end of b that can be the name of an applet: what comes before the list has no NUL of its own.
func lastWord(b []byte) []byte {
	i := len(b)
	for i > 0 && isNameByte(b[i-1]) {
		i--
	}
	return b[i:]
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("[._-", c) >= 0
}

func isName(name string) bool {
	return name != "" && len(name) <= maxName && name != "." && name != ".." && len(lastWord([]byte(name))) == len(name)
}

// directoryTable finds applet_install_loc: a nibble for each applet, the lower one first. It is nil where there is none.
func directoryTable(program []byte, names []string) []byte {
	known := map[int]byte{}
	for i, name := range names {
		if number, ok := usual[name]; ok {
			known[i] = number
		}
	}
	size := (len(names) + 1) / 2
	if len(known) < minUsual {
		return nil
	}
next:
	for at := 0; at+size <= len(program); at++ {
		table := program[at : at+size]
		for i, number := range known {
			if nibble(table, i) != number {
				continue next
			}
		}
		for i := range names {
			if int(nibble(table, i)) >= len(directories) {
				continue next
			}
		}
		return table
	}
	return nil
}

func nibble(table []byte, i int) byte { return table[i/2] >> (4 * (i % 2)) & 15 }

// adder takes the entries of a layer, as a builder of packs does.
type adder interface {
	Add(e fstree.Entry, data io.Reader, size int64) error
}

// AddLayer adds the program and a symlink for each applet to a layer; the program comes first. The owner is 0:0, the time
// 1970.
func AddLayer(to adder, program []byte) error {
	applets, err := Applets(program)
	if err != nil {
		return err
	}
	e := fstree.Entry{Path: Path, Type: fstree.Regular, Mode: 0o755}
	if err := to.Add(e, bytes.NewReader(program), int64(len(program))); err != nil {
		return err
	}
	for _, path := range applets {
		e := fstree.Entry{Path: path, Type: fstree.Symlink, Mode: 0o777, Link: "/" + Path, Content: fstree.NoContent}
		if err := to.Add(e, nil, 0); err != nil {
			return err
		}
	}
	return nil
}
