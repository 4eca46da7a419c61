package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/layerpack"
)

// gzipLayer writes a layer of one file to dir/layer.tar.gz and returns its path and digest.
func gzipLayer(t *testing.T, dir string) (path, digest string) {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(imagetest.Tar(t, layerFile("etc/motd", "hello")))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "layer.tar.gz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("sha256:%x", sha256.Sum256(b.Bytes()))
}

func TestPack(t *testing.T) {
	layer, digest := gzipLayer(t, t.TempDir())
	dir := t.TempDir()
	var first []byte
	for i, args := range [][]string{
		{"--digest", digest}, {"--jobs", "1"}, {"--compression", "zstd", "--level", "15", "--block-size", "131072"},
		{"--max-unpacked-size", "10000"},
	} {
		out := filepath.Join(dir, "x.pack")
		args = append([]string{"pack", "--layer", layer, "--out", out}, args...)
		if err := dispatch(context.Background(), args, os.Stderr); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = got
		}
		if !bytes.Equal(first, got) {
			t.Errorf("%v give another pack", args)
		}
		r, err := layerpack.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if r.Contents() != 1 || r.Codec().String() != "zstd 15" || r.BlockSize() != 131072 {
			t.Errorf("%d contents, %v, %d", r.Contents(), r.Codec(), r.BlockSize())
		}
		r.Close()
	}
	if got := ls(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestPackErrors(t *testing.T) {
	in, dir := t.TempDir(), t.TempDir()
	layer, digest := gzipLayer(t, in)
	good, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(in, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := "sha256:" + strings.Repeat("0", 64)
	cut := write("cut", good[:len(good)-20])
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"", 2, "pack: --layer is required"},
		{"--layer x", 2, "--out is required"},
		{"--layer x extra", 2, `unexpected argument "extra"`},
		{"--layr x", 2, "flag provided but not defined: -layr"},
		{"--layer x --out OUT --compression lzo", 2, `unknown compressor "lzo"`},
		{"--layer x --out OUT --level 23", 2, "zstd has no level 23"},
		{"--layer x --out OUT --block-size 5000", 2, "block size 5000: use a power of two"},
		{"--layer x --out OUT --jobs -1", 2, "-1 jobs"},
		{"--layer x --out OUT --digest md5:0", 2, `--digest "md5:0": give sha256:`},
		{"--layer missing --out OUT", 1, "open missing: no such file"},
		{"--layer " + cut + " --out OUT", 1,
			"pack: layer " + cut + `: after entry "etc/motd": gzip data is damaged or cut off`},
		{"--layer " + cut + " --out OUT --digest " + digest, 1,
			"layer " + digest + " (" + cut + "): the file is damaged or another one"},
		{"--layer " + layer + " --out OUT --digest " + wrong, 1, "its digest is " + digest + "; fetch it again"},
		{"--layer " + layer + " --out OUT --max-unpacked-size 3", 1, "--max-unpacked-size"},
		{"--layer " + write("text", []byte("hello")) + " --out OUT", 1, "unknown media type"},
		{"--layer " + layer + " --out " + dir + "/none/x", 1, "no such file or directory"},
	} {
		var stderr bytes.Buffer
		args := append([]string{"pack"}, strings.Fields(strings.ReplaceAll(c.args, "OUT", dir+"/x"))...)
		err := dispatch(context.Background(), args, &stderr)
		if cli.ExitCode(err) != c.exit || !strings.Contains(fmt.Sprint(err), c.want) || stderr.Len() > 0 {
			t.Errorf("%s: %v with exit code %d, want %q\n%s", c.args, err, cli.ExitCode(err), c.want, &stderr)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	args := []string{"pack", "--layer", layer, "--out", dir + "/x"}
	if err := dispatch(ctx, args, os.Stderr); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := ls(t, dir); got != nil {
		t.Errorf("left behind: %v", got)
	}
}

func TestPackHelp(t *testing.T) {
	var stderr bytes.Buffer
	err := dispatch(context.Background(), []string{"pack", "-help"}, &stderr)
	if err != nil || !strings.Contains(stderr.String(), "-max-unpacked-size bytes") {
		t.Errorf("error %v\n%s", err, &stderr)
	}
}

func TestPackFiles(t *testing.T) {
	dir := t.TempDir()
	spec, out := filepath.Join(dir, "spec"), filepath.Join(dir, "x.pack")
	run := func(text string) error {
		if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dispatch(context.Background(), []string{"pack-files", "--spec", spec, "--out", out}, os.Stderr)
	}
	for text, want := range map[string]string{
		`{"src":"x","dest":"y"}`:               "pack-files: " + spec + `: line 1: x: destination "y": give an absolute path`,
		`{"src":"x","dest":"/a/../y"}`:         `destination "/a/../y": give a path without`,
		`{"src":"` + dir + `/no","dest":"/y"}`: "no such file or directory",
	} {
		if err := run(text); cli.ExitCode(err) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if got := ls(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
	if err := run(fmt.Sprintf(`{"src":%q,"dest":"/srv/spec","executable":true}`, spec)); err != nil {
		t.Fatal(err)
	}
	r, err := layerpack.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for e := range r.Entries() {
		if e.Path != "srv/spec" || e.Mode != 0o755 {
			t.Errorf("%+v", e)
		}
	}
}
