package payload

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// standIns are what the tests have for programs.
var standIns = map[string]string{
	InitAMD64: "#!/bin/sh\necho init\n", InitARM64: strings.Repeat("i", 5000), GuestAMD64: "guest", GuestARM64: "",
}

// source writes the stand-ins to files.
func source(t *testing.T) Source {
	t.Helper()
	dir := t.TempDir()
	s := Source{Programs: map[string]string{}, GoSum: filepath.Join(dir, "go.sum")}
	for name, content := range standIns {
		s.Programs[name] = filepath.Join(dir, name)
		writeFile(t, s.Programs[name], content)
	}
	writeFile(t, s.GoSum, "example.com/m v1.0.0 h1:x\n")
	return s
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// executable is a program's bytes and a payload behind them.
func executable(t *testing.T, program string) []byte {
	t.Helper()
	b := bytes.NewBufferString(program)
	if err := Write(b, int64(b.Len()), source(t)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t *testing.T, content []byte) (*Payload, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fledge")
	writeFile(t, file, string(content))
	p, err := OpenFile(file)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

func TestPrograms(t *testing.T) {
	for _, program := range []string{"", "\x7fELF and so on"} { // a payload alone, and behind an executable
		p, err := open(t, executable(t, program))
		if err != nil {
			t.Fatal(err)
		}
		if want := slices.Sorted(maps.Keys(standIns)); !slices.Equal(p.Names(), want) {
			t.Errorf("programs %q, want %q", p.Names(), want)
		}
		for name, content := range standIns {
			if got, err := p.Program(name); err != nil || string(got) != content {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
			if got, err := p.Digest(name); err != nil || got != want {
				t.Errorf("%s: digest %s, %v, want %s", name, got, err, want)
			}
		}
		if _, err := p.Program("guest-mips"); err == nil || !strings.Contains(err.Error(), `no program "guest-mips": there are guest-amd64, `) {
			t.Errorf("a program that is not there: %v", err)
		}
		if sums, err := p.GoSum(); err != nil || string(sums) != "example.com/m v1.0.0 h1:x\n" {
			t.Errorf("go.sum %q, %v", sums, err)
		}
	}
}

func TestDeterministic(t *testing.T) {
	if one, other := executable(t, "x"), executable(t, "x"); !bytes.Equal(one, other) {
		t.Error("the same files give other bytes")
	}
}

func TestExtract(t *testing.T) {
	p, err := open(t, executable(t, "x"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	file, err := p.Extract(InitAMD64, dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func() os.FileInfo {
		t.Helper()
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil || string(content) != standIns[InitAMD64] || st.Mode().Perm() != 0o755 {
			t.Fatalf("%s: %q, mode %v, %v", file, content, st.Mode(), err)
		}
		return st
	}
	first := check()
	if again, err := p.Extract(InitAMD64, dir); err != nil || again != file {
		t.Errorf("once more: %s, %v, want %s", again, err, file)
	}
	if !os.SameFile(first, check()) {
		t.Error("it is written anew although it is there")
	}
	for name, spoil := range map[string]func() error{
		"bytes": func() error { return os.WriteFile(file, []byte("other"), 0o755) },
		"mode":  func() error { return os.Chmod(file, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Extract(InitAMD64, dir); err != nil {
			t.Errorf("after other %s: %v", name, err)
		}
		check()
	}
}

func TestOpen(t *testing.T) {
	t.Setenv(Variable, "")
	if _, err := Open(); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "//tools/fledge:dist") {
		t.Errorf("a test's program: %v", err)
	}
	file := filepath.Join(t.TempDir(), "payload.zip")
	writeFile(t, file, string(executable(t, "")))
	t.Setenv(Variable, file)
	p, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	t.Setenv(Variable, file+".none")
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), Variable+": "+file+".none") {
		t.Errorf("a payload that is not there: %v", err)
	}
}

// TestDamaged has no payload that is cut off or changed somewhere and gives a wrong program.
func TestDamaged(t *testing.T) {
	whole := executable(t, "x")
	for end := range len(whole) {
		if _, err := open(t, whole[:end]); err == nil {
			t.Fatalf("cut after %d of %d bytes: no error", end, len(whole))
		}
	}
	found := 0
	for at := 1; at < len(whole); at++ {
		changed := bytes.Clone(whole)
		changed[at] ^= 0x10
		p, err := open(t, changed)
		if err != nil {
			found++
			continue
		}
		for name, content := range standIns {
			got, err := p.Program(name)
			if err != nil {
				found++
			} else if string(got) != content {
				t.Fatalf("byte %d changed: %s is %q", at, name, got)
			}
		}
	}
	if found < len(whole)/4 { // dates, say, do not matter
		t.Errorf("%d changes found of %d", found, len(whole))
	}
}

func TestForeign(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("guest")))
	for want, entries := range map[string][][2]string{
		`no entry "SHA256SUMS"`:                    {{"guest-amd64", "guest"}},
		`"guest-amd64", which is not there`:        {{sumsName, sum + "  guest-amd64\n"}},
		`is not a SHA-256 and a name`:              {{sumsName, "guest-amd64\n"}, {"guest-amd64", "guest"}},
		`entry "guest-amd64" is there twice`:       {{"guest-amd64", "guest"}, {"guest-amd64", "guest"}},
		`entry "SHA256SUMS": more than`:            {{sumsName, strings.Repeat("x", maxText+1)}},
		`has the digest sha256:d9298a10d1b0735837`: {{sumsName, sum + "  guest-amd64\n"}, {"guest-amd64", "other"}},
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, entry := range entries {
			w, err := z.Create(entry[0])
			if err == nil {
				_, err = w.Write([]byte(entry[1]))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		p, err := open(t, b.Bytes())
		if err == nil {
			_, err = p.Program("guest-amd64")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
