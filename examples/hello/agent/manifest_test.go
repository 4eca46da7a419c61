package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

func encode(t *testing.T, manifest string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(manifest)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return "console=ttyS0 volant.manifest=" + base64.URLEncoding.EncodeToString(buf.Bytes()) + " quiet"
}

func TestCommand(t *testing.T) {
	m, err := manifestFrom(encode(t, `{"workload": {"entrypoint": ["/bin/app", "-v"], "workdir": "/srv", "env": {"A": "2"}},
		"env": {"A": "1", "B": "1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.command()
	if err != nil {
		t.Fatal(err)
	}
	if c.Path != "/bin/app" || !slices.Equal(c.Args, []string{"/bin/app", "-v"}) || c.Dir != "/srv" {
		t.Errorf("command is %q %q in %q", c.Path, c.Args, c.Dir)
	}
	for _, want := range []string{"A=2", "B=1"} {
		if !slices.Contains(c.Env, want) {
			t.Errorf("environment %q lacks %q", c.Env, want)
		}
	}
}

func TestBadManifest(t *testing.T) {
	for _, tt := range []struct{ name, cmdline, want string }{
		{"none", "console=ttyS0", "no volant.manifest="},
		{"not base64", "volant.manifest=!", "illegal base64"},
		{"not gzip", "volant.manifest=aGVsbG8gaGVsbG8", "gzip"},
		{"not JSON", encode(t, "hello"), "invalid character"},
		{"no entrypoint", encode(t, "{}"), "no workload.entrypoint"},
	} {
		m, err := manifestFrom(tt.cmdline)
		if err == nil {
			_, err = m.command()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}
