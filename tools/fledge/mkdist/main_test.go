package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// arguments writes stand-ins of all inputs.
func arguments(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	var args []string
	for _, name := range []string{"executable", "init-amd64", "init-arm64", "guest-amd64", "guest-arm64", "fill-amd64", "fill-arm64", "go-sum"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("the "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--"+name+"="+file)
	}
	return slices.Clip(args)
}

func TestDist(t *testing.T) {
	var made [][]byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "fledge")
		if err := run(append(arguments(t), "--out="+out)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(out); err != nil || st.Mode().Perm() != 0o755 || !bytes.HasPrefix(b, []byte("the executable")) {
			t.Errorf("%v, %v, %.20q", st, err, b)
		}
		p, err := payload.OpenFile(out)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if got, err := p.Program(payload.GuestARM64); err != nil || string(got) != "the guest-arm64" {
			t.Errorf("%q, %v", got, err)
		}
		made = append(made, b)
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("the same inputs in other folders give other bytes")
	}
}

func TestErrors(t *testing.T) {
	args := arguments(t)
	out := filepath.Join(t.TempDir(), "fledge")
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"--out is missing":                     {args, cli.ExitUsage},
		`"init" is no flag`:                    {append(args, "--out="+out, "init"), cli.ExitUsage},
		"flag provided but not defined":        {append(args, "--x"), cli.ExitUsage},
		"guest-arm64: open /none: no such":     {append(args, "--out="+out, "--guest-arm64=/none"), cli.ExitError},
		"open /fledge: no such file or direct": {append(args, "--out="+out, "--executable=/fledge"), cli.ExitError},
	} {
		err := run(c.args)
		if err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != c.code {
			t.Errorf("error %v, code %d, want %q, %d", err, cli.ExitCode(err), want, c.code)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
