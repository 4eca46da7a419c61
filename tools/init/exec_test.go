//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithPath(t *testing.T) {
	for _, tt := range []struct{ env, want []string }{
		{nil, []string{defaultPath}},
		{[]string{"HOME=/", "TERM=linux"}, []string{"HOME=/", "TERM=linux", defaultPath}},
		{[]string{"PATH=", "HOME=/"}, []string{"PATH=", "HOME=/"}},
		{[]string{"XPATH=/x"}, []string{"XPATH=/x", defaultPath}},
	} {
		if diff := cmp.Diff(tt.want, withPath(tt.env)); diff != "" {
			t.Errorf("withPath(%q) (-want +got):\n%s", tt.env, diff)
		}
	}
}

// elf makes the header of a program for a machine (e_machine), with a loader if it is given.
func elf(machine uint16, loader string) string {
	le := binary.LittleEndian
	b := make([]byte, 64+2*56)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[18:], machine)
	le.PutUint64(b[32:], 64) // e_phoff
	le.PutUint16(b[56:], 2)  // e_phnum
	le.PutUint32(b[64:], 1)  // PT_LOAD
	if loader != "" {
		header := b[64+56:]
		le.PutUint32(header, 3) // PT_INTERP
		le.PutUint64(header[8:], uint64(len(b)))
		le.PutUint64(header[32:], uint64(len(loader)+1))
		b = append(append(b, loader...), 0)
	}
	return string(b)
}

func TestExecHint(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"script": {"#!/bin/none -e\n", 0o755}, "crlf": {"#! \t/bin/sh\r\n", 0o755}, "open": {"#!/bin/none", 0o755},
		"nested": {"#!" + path("script") + "\n", 0o755}, "loop": {"#!" + path("loop") + "\n", 0o755},
		"plain": {"x", 0o640}, "runsPlain": {"#!" + path("plain") + "\n", 0o755}, "text": {"echo\n", 0o755}, "empty": {"", 0o755},
		"dynamic": {elf(62, "/lib/ld.so"), 0o755}, "runsDynamic": {"#!" + path("dynamic") + "\n", 0o755},
		"386": {elf(3, ""), 0o755}, "amd64": {elf(62, ""), 0o755}, "arm64": {elf(183, ""), 0o755}, "riscv": {elf(243, ""), 0o755},
		"cut": {elf(62, "/lib/ld.so")[:100], 0o755}, "magic": {"\x7fELF", 0o755},
		"far": {strings.Replace(elf(62, "/x"), "\xb0\x00\x00\x00", "\xff\xff\xff\xff", 1), 0o755},
	} {
		if err := os.WriteFile(path(name), []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", path("link")); err != nil {
		t.Fatal(err)
	}
	const (
		there, notThere = "it is there, but the interpreter ", " that it names is not: add that to the image, or use a static program"
		noProgram       = "it is no program for this machine: "
	)
	for _, tt := range []struct {
		name string
		why  syscall.Errno
		want string
	}{
		{"none", syscall.ENOENT, "the image has no such file: correct the rule's init"},
		{"link", syscall.ENOENT, "it is a link that leads nowhere"},
		{"script", syscall.ENOENT, there + "/bin/none" + notThere},
		{"open", syscall.ENOENT, there + "/bin/none" + notThere},
		{"crlf", syscall.ENOENT, there + `/bin/sh\x0d` + notThere},
		{"nested", syscall.ENOENT, there + "/bin/none" + notThere},
		{"dynamic", syscall.ENOENT, there + "/lib/ld.so" + notThere},
		{"runsDynamic", syscall.ENOENT, there + "/lib/ld.so" + notThere},
		{"loop", syscall.ELOOP, ""},
		{"loop", syscall.ENOENT, there + path("loop") + notThere},
		{"far", syscall.ENOENT, there + path("far") + notThere},
		{"cut", syscall.ENOENT, there + path("cut") + notThere},
		{"plain", syscall.EACCES, "it is not an executable file: its mode is 0640"},
		{"", syscall.EACCES, "it is not an executable file: it is a directory"},
		{"runsPlain", syscall.EACCES, "it is executable, but the interpreter that it names, " + path("plain") + ", is not"},
		{"text", syscall.ENOEXEC, noProgram + "it is neither an ELF program nor a script with #! and an interpreter in its first line"},
		{"empty", syscall.ENOEXEC, noProgram + "it is empty"},
		{"script", syscall.ENOEXEC, noProgram + "the interpreter in its first line is none"},
		{"386", syscall.ENOEXEC, noProgram + "it is built for 386"},
		{"amd64", syscall.ENOEXEC, noProgram + "it is built for amd64"},
		{"arm64", syscall.ENOEXEC, noProgram + "it is built for arm64"},
		{"riscv", syscall.ENOEXEC, noProgram + "it is built for another processor"},
		{"magic", syscall.ENOEXEC, noProgram + "it is built for another processor"},
		{"amd64", syscall.ENOMEM, ""},
	} {
		if got := execHint(path(tt.name), tt.why); got != tt.want {
			t.Errorf("execHint(%q, %v):\n got %s\nwant %s", tt.name, tt.why, got, tt.want)
		}
	}
	want := "the image has no agent: give the rule one, or map a program to " + agent
	if got := execHint(agent, syscall.ENOENT); got != want {
		t.Errorf("execHint(%q): got %s, want %s", agent, got, want)
	}
}

func TestBecomeFails(t *testing.T) {
	dir := t.TempDir()
	want := "exec " + dir + " stage2: permission denied; it is not an executable file: it is a directory"
	if err := become(dir, "stage2"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
