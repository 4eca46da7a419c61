package cachedir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func open(t testing.TB, path string, limit int64) *Dir {
	t.Helper()
	d, err := Open(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// use starts a session, whose notes must have the words.
func use(t testing.TB, d *Dir, key string, words ...string) *Session {
	t.Helper()
	var notes []string
	s, err := d.Use(t.Context(), "family", key, func(err error) { notes = append(notes, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(notes, "\n")
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %q", w, text)
		}
	}
	if len(words) == 0 && text != "" {
		t.Error(text)
	}
	return s
}

// cacheOf makes a cache of blobs: files by their digests, and the manifest's digest.
func cacheOf(t testing.TB, texts ...string) (files map[string]string, manifest string) {
	t.Helper()
	files = map[string]string{}
	add := func(text string) ocispec.Descriptor {
		d := digest.FromString(text)
		files[d.String()] = text
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(text))}
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: add("{}"),
	}
	for _, text := range texts {
		m.Layers = append(m.Layers, add(text))
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return files, add(string(b)).Digest.String()
}

// save adds a cache of texts, and ends the session.
func save(t testing.TB, s *Session, texts ...string) string {
	t.Helper()
	defer s.Close()
	files, manifest := cacheOf(t, texts...)
	write := func(digest, file string) error { return os.WriteFile(file, []byte(files[digest]), 0o600) }
	if _, err := os.Stat(s.File(manifest)); err != nil {
		if err := write(manifest, s.File(manifest)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(manifest, write); err != nil {
		t.Fatal(err)
	}
	return manifest
}

func none(digest, _ string) error { return fmt.Errorf("no blob %s", digest) }

// contents gives the session's blobs in order; all must be what their digests say.
func contents(t testing.TB, s *Session) (list []string) {
	t.Helper()
	for _, b := range s.Blobs {
		text, err := os.ReadFile(b.File)
		if err != nil || digest.FromBytes(text).String() != b.Digest || int64(len(text)) != b.Size {
			t.Errorf("blob %s: %d bytes, %v", b.Digest, len(text), err)
		}
		list = append(list, string(text))
	}
	slices.Sort(list)
	return list
}

func TestUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "cache")
	d := open(t, path, 1<<20)
	s := use(t, d, "key")
	if len(s.Manifests)+len(s.Blobs) > 0 {
		t.Errorf("an empty cache: %+v", s)
	}
	first := save(t, s, "one", "two")
	again := use(t, open(t, path, 1<<20), "key")
	defer again.Close()
	if diff := cmp.Diff([]string{first}, again.Manifests); diff != "" {
		t.Error(diff)
	}
	if list := contents(t, again); len(list) != 4 || list[0] != "one" || list[1] != "two" {
		t.Errorf("blobs %q", list)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestChoose(t *testing.T) {
	d := open(t, t.TempDir(), 1<<20)
	a1, a2, a3 := save(t, use(t, d, "a"), "a1"), save(t, use(t, d, "a"), "a2"), save(t, use(t, d, "a"), "a3")
	b := save(t, use(t, d, "b"), "b")
	for _, c := range []struct {
		key  string
		want []string
	}{
		{"a", []string{a3, a2}}, // not a1, which was too much
		{"b", []string{b}},
		{"c", []string{b, a3}}, // those that were used last
	} {
		s := use(t, d, c.key)
		if diff := cmp.Diff(c.want, s.Manifests); diff != "" {
			t.Errorf("%s (not %s):\n%s", c.key, a1, diff)
		}
		s.Close()
	}
	s, err := d.Use(t.Context(), "another family", "a", func(err error) { t.Error(err) })
	if err != nil || len(s.Manifests) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	s.Close()
}

// size is the bytes of all blobs.
func size(t testing.TB, d *Dir) (n int64) {
	t.Helper()
	list, err := os.ReadDir(d.blobs())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func TestEviction(t *testing.T) {
	const limit = 10_000
	d := open(t, t.TempDir(), limit)
	text := func(c string) string { return strings.Repeat(c, 3000) }
	save(t, use(t, d, "a"), text("a"))
	save(t, use(t, d, "b"), text("b"))
	running := use(t, d, "b")
	defer running.Close()
	use(t, d, "a").Close() // so b is the one that was used least recently
	save(t, use(t, d, "c"), text("c"), text("d"))
	if n := size(t, d); n > limit || n < 9000 {
		t.Errorf("%d bytes", n)
	}
	if s := use(t, d, "a"); len(s.Manifests) != 1 {
		t.Error("a was used, and is gone")
	}
	if list := contents(t, running); len(list) != 3 {
		t.Errorf("a running solve has lost its blobs: %d are there", len(list))
	}
}

// TestTooLarge: a cache that is too large alone is not kept, and takes no other's room.
func TestTooLarge(t *testing.T) {
	d := open(t, t.TempDir(), 10_000)
	save(t, use(t, d, "a"), "a")
	before := size(t, d)
	s := use(t, d, "b")
	files, manifest := cacheOf(t, strings.Repeat("b", 6000), strings.Repeat("c", 6000))
	write := func(digest, file string) error { return os.WriteFile(file, []byte(files[digest]), 0o600) }
	if err := write(manifest, s.File(manifest)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(manifest, write); err == nil || !strings.Contains(err.Error(), "--@fledge//fledge/settings:solve_cache_mb=0") {
		t.Errorf("error %v", err)
	}
	s.Close()
	if n := size(t, d); n != before {
		t.Errorf("%d bytes, and %d before", n, before)
	}
	a := use(t, d, "a")
	defer a.Close()
	if len(a.Manifests) != 1 {
		t.Error("the other cache is gone")
	}
}

// TestPartial: caches of failed solves help, and take no other's place for long.
func TestPartial(t *testing.T) {
	d := open(t, t.TempDir(), 1<<20)
	failed := func(text string) string {
		s := use(t, d, "a")
		s.Partial = true
		return save(t, s, text)
	}
	check := func(want ...string) {
		t.Helper()
		s := use(t, d, "a")
		defer s.Close()
		if diff := cmp.Diff(want, s.Manifests); diff != "" {
			t.Errorf("manifests (-want +got):\n%s", diff)
		}
	}
	whole := save(t, use(t, d, "a"), "whole")
	failed("first")
	second := failed("second")
	check(second, whole)
	next := save(t, use(t, d, "a"), "next")
	check(next, whole)
}

// TestEvictedMeanwhile saves a cache whose blobs others have evicted since the session began.
func TestEvictedMeanwhile(t *testing.T) {
	d := open(t, t.TempDir(), 10_000)
	save(t, use(t, d, "a"), "shared")
	s := use(t, d, "a")
	save(t, use(t, d, "b"), strings.Repeat("b", 9500))
	if _, err := os.Stat(d.blob(digest.FromString("shared").String())); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	files, manifest := cacheOf(t, "shared", "new")
	for digest, text := range files {
		if _, err := os.Stat(s.File(digest)); err != nil {
			os.WriteFile(s.File(digest), []byte(text), 0o600)
		}
	}
	if err := s.Save(manifest, none); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = use(t, d, "a")
	defer s.Close()
	if list := contents(t, s); len(list) != 4 {
		t.Errorf("blobs %q", list)
	}
}

func TestMissingBlob(t *testing.T) {
	d := open(t, t.TempDir(), 1<<20)
	s := use(t, d, "a")
	defer s.Close()
	files, manifest := cacheOf(t, "one")
	os.WriteFile(s.File(manifest), []byte(files[manifest]), 0o600)
	if err := s.Save(manifest, none); err == nil || !strings.Contains(err.Error(), "no blob sha256:") {
		t.Errorf("error %v", err)
	}
	if list, _ := d.readIndex(); len(list) > 0 {
		t.Errorf("index %+v", list)
	}
	err := s.Save(manifest, func(digest, file string) error { return os.WriteFile(file, []byte(files[digest]), 0o600) })
	if err != nil {
		t.Error(err)
	}
}

func TestDamage(t *testing.T) {
	blob := func(d *Dir, text string) string { return d.blob(digest.FromString(text).String()) }
	write := func(file, text string) error { return os.WriteFile(file, []byte(text), 0o600) }
	for _, c := range []struct {
		name  string
		spoil func(d *Dir, manifest string) error
		want  string
		left  int // manifests
	}{
		{"other content", func(d *Dir, _ string) error { return write(blob(d, "a"), "b") }, "have the digest", 1},
		{"cut off", func(d *Dir, _ string) error { return os.Truncate(blob(d, "a"), 0) }, "have the digest", 1},
		{"shared blob", func(d *Dir, _ string) error { return os.Truncate(blob(d, "shared"), 1) }, "have the digest", 0},
		{"gone", func(d *Dir, _ string) error { return os.Remove(blob(d, "a")) }, "no such file", 1},
		{"manifest", func(d *Dir, m string) error { return write(d.blob(m), "{}") }, "damaged", 1},
		{"lying manifest", func(d *Dir, m string) error { return write(d.blob(m), `{"config":{"digest":"../../x"}}`) }, "damaged", 1},
		{"index", func(d *Dir, _ string) error { return write(d.index(), `{"manifests":[{}]}`) }, "starts anew", 0},
		{"cut off index", func(d *Dir, _ string) error { return os.Truncate(d.index(), 20) }, "starts anew", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, t.TempDir(), 1<<20)
			manifest := save(t, use(t, d, "key"), "a", "shared")
			save(t, use(t, d, "key"), "b", "shared")
			if err := c.spoil(d, manifest); err != nil {
				t.Fatal(err)
			}
			s := use(t, d, "key", c.want)
			contents(t, s)
			if len(s.Manifests) != c.left {
				t.Errorf("%d manifests are left, want %d", len(s.Manifests), c.left)
			}
			if again := save(t, s, "a", "shared"); again != manifest {
				t.Fatal("the test's manifests are not the same")
			}
			s = use(t, d, "key") // whole again, and without a word
			defer s.Close()
			if !slices.Contains(s.Manifests, manifest) || !slices.Contains(contents(t, s), "a") {
				t.Errorf("manifests %q after the damage", s.Manifests)
			}
		})
	}
}

func TestNotWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, 1)
	if err == nil || !strings.Contains(err.Error(), "--sandbox_writable_path="+file) {
		t.Errorf("error %v", err)
	}
}

// TestFamily: names differ by what is written, and by the directory.
func TestFamily(t *testing.T) {
	dir := t.TempDir()
	names := map[string]bool{}
	for _, d := range []*Dir{open(t, dir, 1), open(t, dir, 1), open(t, t.TempDir(), 1)} {
		for _, text := range []string{"secret", "other"} {
			name, err := d.Family(func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
			if err != nil {
				t.Fatal(err)
			}
			plain := sha256.Sum256([]byte(text))
			if name == hex.EncodeToString(plain[:]) {
				t.Error("the name can be made without the directory")
			}
			names[name] = true
		}
	}
	if len(names) != 4 {
		t.Errorf("%d names, want 4", len(names))
	}
}

// TestStale: what a killed solve left goes with the next one, and what a running one has stays.
func TestStale(t *testing.T) {
	d := open(t, t.TempDir(), 1<<20)
	stale := filepath.Join(d.sessions(), "stale")
	if err := os.MkdirAll(filepath.Join(stale, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	running := use(t, d, "a")
	defer running.Close()
	use(t, d, "b").Close()
	if _, err := os.Stat(stale); err == nil {
		t.Error("a killed solve's folder stays")
	}
	if _, err := os.Stat(running.dir.Name()); err != nil {
		t.Error(err)
	}
}

func TestEnd(t *testing.T) {
	d := open(t, t.TempDir(), 1<<20)
	save(t, use(t, d, "a"), "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Use(ctx, "family", "a", func(err error) { t.Error(err) }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if s := use(t, d, "a"); len(s.Manifests) != 1 {
		t.Error("an ended solve has dropped the cache")
	}
}
