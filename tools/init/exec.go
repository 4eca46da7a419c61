//go:build linux

package main

import (
	"strings"
	"syscall"
)

// defaultPath is for a program whose environment, which is the kernel's, has no PATH.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// become starts a program in place of this one, or returns why it could not.
func become(path string, args ...string) error {
	args = append([]string{path}, args...)
	err := syscall.Exec(path, args, withPath(syscall.Environ()))
	return fail("exec "+strings.Join(args, " "), err, execHint(path, err))
}

func withPath(env []string) []string {
	for _, v := range env {
		if strings.HasPrefix(v, "PATH=") {
			return env
		}
	}
	return append(env, defaultPath)
}

// execHint tells what is wrong with a program that the kernel did not start, and what to do about it.
func execHint(path string, why error) string {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	switch {
	case why == syscall.ENOENT && err == nil:
		return "it is there, but the interpreter " + printable(lastInterpreter(path)) +
			" that it names is not: add that to the image, or use a static program"
	case why == syscall.ENOENT && syscall.Lstat(path, &st) == nil:
		return "it is a link that leads nowhere"
	case why == syscall.ENOENT && path == agent:
		return "the image has no agent: give the rule one, or map a program to " + agent
	case why == syscall.ENOENT:
		return "the image has no such file: correct the rule's init"
	case why == syscall.EACCES && st.Mode&syscall.S_IFMT == syscall.S_IFDIR:
		return "it is not an executable file: it is a directory"
	case why == syscall.EACCES && st.Mode&0o111 == 0:
		return "it is not an executable file: its mode is " + octal(st.Mode&0o7777)
	case why == syscall.EACCES:
		return "it is executable, but the interpreter that it names, " + printable(lastInterpreter(path)) + ", is not"
	case why == syscall.ENOEXEC:
		return "it is no program for this machine: " + kindOf(path)
	}
	return ""
}

// lastInterpreter follows the programs that are needed to start the one at path, each by the one before, to the first
// that is missing, is not executable or needs none.
func lastInterpreter(path string) string {
	const most = 6 // the kernel gives up before
	for range most {
		next := interpreter(path)
		if next == "" {
			return path
		}
		path = next
		var st syscall.Stat_t
		if syscall.Stat(path, &st) != nil || st.Mode&0o111 == 0 {
			return path
		}
	}
	return path
}

// interpreter is the program that a script's first line or a program of ELF64 names (execve(2), elf(5)), or "".
func interpreter(path string) string {
	const interp, headerSize = 3, 56 // PT_INTERP, and the size of a program header
	head := readAt(path, 0, 256)     // the kernel looks at as much of a script
	if script, ok := strings.CutPrefix(string(head), "#!"); ok {
		line, _, _ := strings.Cut(script, "\n")
		line = strings.TrimLeft(line, " \t")
		if end := strings.IndexAny(line, " \t"); end >= 0 {
			line = line[:end]
		}
		return line
	}
	if !isELF(head) {
		return ""
	}
	at := number(head, 32, 8)
	for range number(head, 56, 2) {
		header := readAt(path, at, headerSize)
		if number(header, 0, 4) == interp {
			const pathMax = 4096
			name := readAt(path, number(header, 8, 8), min(number(header, 32, 8), pathMax))
			return strings.TrimRight(string(name), "\x00")
		}
		at += headerSize
	}
	return ""
}

func isELF(b []byte) bool { return strings.HasPrefix(string(b), "\x7fELF") }

// kindOf says what a file is that the kernel does not take for a program.
func kindOf(path string) string {
	head := readAt(path, 0, 64)
	switch {
	case len(head) == 0:
		return "it is empty"
	case strings.HasPrefix(string(head), "#!"):
		return "the interpreter in its first line is none"
	case !isELF(head):
		return "it is neither an ELF program nor a script with #! and an interpreter in its first line"
	}
	switch number(head, 18, 2) { // e_machine
	case 3:
		return "it is built for 386"
	case 62:
		return "it is built for amd64"
	case 183:
		return "it is built for arm64"
	}
	return "it is built for another processor"
}

// number is the little-endian number of size bytes at an offset, 0 beyond the end.
func number(b []byte, at, size int) uint64 {
	n := uint64(0)
	for i := at + size - 1; i >= at && at+size <= len(b); i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}

// readAt is a piece of a file, shorter or empty where it cannot be read.
func readAt(path string, at, size uint64) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	b := make([]byte, size)
	n, _ := syscall.Pread(fd, b, int64(at))
	return b[:max(n, 0)]
}

// printable shows a name on one line, whatever bytes it has: a line that ends in CR LF names an interpreter with a CR.
func printable(name string) string {
	s := ""
	for _, c := range []byte(name) {
		if c < ' ' || c == 0x7f {
			s += "\\x" + hex([]byte{c})
		} else {
			s += string([]byte{c})
		}
	}
	return s
}

// octal is a mode as chmod takes it.
func octal(mode uint32) string {
	s := ""
	for shift := 9; shift >= 0; shift -= 3 {
		s += string('0' + rune(mode>>shift&7))
	}
	return s
}
