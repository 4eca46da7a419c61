package inputs

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	gofs "io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

var blob = []byte("a layer")

func job(t testing.TB) string {
	b, err := wire.Job{
		Dockerfile: "Dockerfile", Arch: "amd64", Epoch: 7,
		Images: []wire.Image{{Ref: "base", Store: "s", Digest: string(digest.FromBytes(blob))}},
	}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// file is a tar entry; its content is text, or the target of a link.
type file struct {
	name string
	kind byte
	text string
	mode int64
}

func archive(t testing.TB, files []file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: f.mode, Uid: 1000}
		if f.kind == tar.TypeReg {
			h.Size = int64(len(f.text))
		} else {
			h.Linkname = f.text
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if f.kind == tar.TypeReg {
			io.WriteString(w, f.text)
		}
	}
	w.Close()
	return b.Bytes()
}

func base(t testing.TB) []file {
	return []file{
		{wire.JobFile, tar.TypeReg, job(t), 0o644},
		{"dockerfile/Dockerfile", tar.TypeReg, "FROM base\n", 0o644},
		{"oci/s/blobs/sha256/" + digest.FromBytes(blob).Encoded(), tar.TypeReg, string(blob), 0o644},
	}
}

func open(b []byte) (*Inputs, error) { return Open(bytes.NewReader(b), int64(len(b))) }

func walk(t *testing.T, f fsutil.FS, target string) (lines []string) {
	t.Helper()
	err := f.Walk(context.Background(), target, func(p string, d gofs.DirEntry, err error) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*types.Stat)
		if st.Uid != 0 || st.ModTime != 7e9 {
			t.Errorf("%s: user %d, time %d", p, st.Uid, st.ModTime)
		}
		text := ""
		if d.Type().IsRegular() {
			r, err := f.Open(p)
			if err != nil {
				return err
			}
			b, _ := io.ReadAll(r)
			text = string(b)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %v %s %s", p, info.Mode(), st.Linkname, text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestOpen(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	in, err := open(archive(t, append(base(t), []file{
		{"context/z", tar.TypeReg, "same", 0o4755},
		{"context/b/c", tar.TypeLink, "context/z", 0},
		{"context/b/" + long, tar.TypeReg, "far", 0o600},
		{"context/b/", tar.TypeDir, "", 0o2770},
		{"context/s", tar.TypeSymlink, "../../etc", 0o777},
		{"cache/blobs/sha256/" + digest.FromString("cached").Encoded(), tar.TypeReg, "cached", 0},
	}...)))
	if err != nil {
		t.Fatal(err)
	}
	if in.Job.Epoch != 7 || string(in.Text) != "FROM base\n" {
		t.Errorf("%+v", in)
	}
	got := walk(t, in.Context, "")
	want := []string{"b dgrwxrwx---", "b/c urwxr-xr-x  same", "s Lrwxrwxrwx ../../etc", "z urwxr-xr-x b/c same"}
	if names := append(got[:2:2], got[len(got)-2:]...); !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if deep := got[len(got)-3]; deep != "b/"+long+" -rw-------  far" {
		t.Errorf("the long name: %q", deep)
	}
	if got := walk(t, in.Context, "b/c"); len(got) != 1 || !strings.HasPrefix(got[0], "b/c ") {
		t.Errorf("one file: %q", got)
	}
	if _, err := in.Context.Open("../dockerfile/Dockerfile"); err == nil {
		t.Error("a name leads out of the context")
	}
	for _, text := range []string{string(blob), "cached"} {
		if info, err := in.Cache.Info(context.Background(), digest.FromString(text)); err != nil || info.Size != int64(len(text)) {
			t.Errorf("the cache's %q: %+v, %v", text, info, err)
		}
	}
	if _, err := in.Stores["s"].Info(context.Background(), digest.FromString("cached")); err == nil {
		t.Error("a base image has a blob of the cache")
	}
	r, err := in.Stores["s"].ReaderAt(context.Background(), ocispecs.Descriptor{Digest: digest.FromBytes(blob)})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(blob))
	if _, err := r.ReadAt(p, 0); err != nil || !bytes.Equal(p, blob) || r.Size() != int64(len(blob)) {
		t.Errorf("blob %q, %v", p, err)
	}
	for _, d := range []digest.Digest{"sha256:x", "../../x", digest.FromString("other")} {
		if _, err := in.Stores["s"].Info(context.Background(), d); err == nil {
			t.Errorf("%s: no error", d)
		}
	}
}

func TestSkip(t *testing.T) {
	in, err := open(archive(t, append(base(t), []file{
		{"context/a/1", tar.TypeReg, "", 0}, {"context/a/2", tar.TypeReg, "", 0}, {"context/b", tar.TypeReg, "", 0},
	}...)))
	if err != nil {
		t.Fatal(err)
	}
	for at, c := range map[string]struct {
		err  error
		want string
	}{"a": {gofs.SkipDir, "a b"}, "a/1": {gofs.SkipDir, "a a/1 b"}, "a/2": {gofs.SkipAll, "a a/1 a/2"}} {
		var seen []string
		err := in.Context.Walk(context.Background(), "", func(p string, _ gofs.DirEntry, _ error) error {
			seen = append(seen, p)
			if p == at {
				return c.err
			}
			return nil
		})
		if got := strings.Join(seen, " "); err != nil || got != c.want {
			t.Errorf("skip at %s: %q, %v", at, got, err)
		}
	}
}

func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []file
		want  string
	}{
		{"absolute", []file{{"/etc/passwd", tar.TypeReg, "", 0}}, "relative"},
		{"climbs", []file{{"context/../../x", tar.TypeReg, "", 0}}, "must not have"},
		{"dots", []file{{"context/./x", tar.TypeReg, "", 0}}, "must not have"},
		{"twice", []file{{"context/x", tar.TypeReg, "", 0}, {"context/x", tar.TypeReg, "", 0}}, "twice"},
		{"through a link", []file{{"context/s", tar.TypeSymlink, "/", 0}, {"context/s/x", tar.TypeReg, "", 0}}, "no folder"},
		{"below a file", []file{{"context/x", tar.TypeReg, "", 0}, {"context/x/y/z", tar.TypeReg, "", 0}}, "no folder"},
		{"link forward", []file{{"context/l", tar.TypeLink, "context/x", 0}}, "no file before it"},
		{"link out", []file{{"context/l", tar.TypeLink, "../x", 0}}, "hard link"},
		{"link to a link", []file{{"context/s", tar.TypeSymlink, "/", 0}, {"context/l", tar.TypeLink, "context/s", 0}},
			"no file"},
		{"device", []file{{"context/d", tar.TypeBlock, "", 0}}, "not supported"},
		{"pipe", []file{{"context/d", tar.TypeFifo, "", 0}}, "not supported"},
		{"secrets", []file{{"secrets/token", tar.TypeReg, "x", 0}}, "no part of a job"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := open(archive(t, append(base(t), c.files...))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	whole := archive(t, append(base(t), file{"context/x", tar.TypeReg, strings.Repeat("x", 4096), 0o644}))
	for _, n := range []int{0, 100, 700, len(whole) - 3000} {
		if _, err := open(whole[:n]); err == nil {
			t.Errorf("an archive of %d bytes is taken", n)
		}
	}
	if _, err := open(archive(t, base(t)[1:])); err == nil || !strings.Contains(err.Error(), "starts with") {
		t.Errorf("no job: %v", err)
	}
	if _, err := open(archive(t, base(t)[:2])); err == nil || !strings.Contains(err.Error(), "base image") {
		t.Errorf("no store: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(archive(f, append(base(f),
		file{"context/a/b", tar.TypeReg, "x", 0o644}, file{"context/c", tar.TypeLink, "context/a/b", 0})))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := open(b)
		if err != nil {
			return
		}
		in.Context.Walk(context.Background(), "", func(p string, d gofs.DirEntry, _ error) error {
			if d.Type().IsRegular() {
				r, err := in.Context.Open(p)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, r)
			}
			return nil
		})
	})
}
