package solve

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// cacheGuest plays a guest that saves a cache, and notes what it found.
type cacheGuest struct {
	image    []byte
	manifest string
	blobs    []string                        // that it saves, the manifest among them
	spoil    func(p *wire.Payload, b []byte) // the description of what it saved, and that itself

	found     []string // names below cache/
	manifests []string
	asked     bool // the job wants the cache
}

func newCacheGuest(t *testing.T, layers ...string) *cacheGuest {
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	g := &cacheGuest{image: ociArchive(t, nil)}
	for i, text := range append([]string{"{}"}, layers...) {
		d := descriptor(ocispec.MediaTypeImageLayer, fromMemory([]byte(text)))
		if i == 0 {
			m.Config = d
		} else {
			m.Layers = append(m.Layers, d)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	g.manifest = fromMemory(b).digest
	g.blobs = append([]string{"{}", string(b)}, layers...)
	return g
}

func (g *cacheGuest) run(_ context.Context, spec vmm.Spec) error {
	if err := g.look(spec.Disks[0].File); err != nil {
		return err
	}
	f, err := os.OpenFile(spec.Disks[1].File, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	nonce, err := wire.Begin(f)
	if err != nil {
		return err
	}
	image := wire.NewPayloadWriter(f, wire.PayloadOffset+16<<20)
	image.Write(g.image)
	p := image.Payload()
	res := wire.Result{Payload: &p}
	if g.asked {
		res.Cache = g.save(image.Next())
	}
	return wire.Finish(f, nonce, res)
}

// look reads the input disk.
func (g *cacheGuest) look(disk string) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return nil
		}
		if rest, ok := strings.CutPrefix(h.Name, wire.CacheDir+"/"); ok {
			g.found = append(g.found, rest)
		}
		if h.Name == wire.JobFile {
			text, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			job, err := wire.DecodeJob(text)
			if err != nil {
				return err
			}
			if g.asked = job.Cache != nil; g.asked {
				g.manifests = job.Cache.Manifests
			}
		}
	}
}

func (g *cacheGuest) save(w *wire.PayloadWriter) *wire.Payload {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	for _, text := range g.blobs {
		name := "blobs/" + strings.Replace(fromMemory([]byte(text)).digest, ":", "/", 1)
		t.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
		io.WriteString(t, text)
	}
	t.Close()
	p := wire.Payload{Digest: g.manifest}
	if g.spoil != nil {
		g.spoil(&p, b.Bytes())
	}
	w.Write(b.Bytes())
	written := w.Payload()
	p.Offset, p.Size = written.Offset, written.Size
	if p.SHA256 == "" {
		p.SHA256 = written.SHA256
	}
	return &p
}

// solveCached solves with a guest and a cache, and gives the warnings.
func solveCached(t *testing.T, dir string, g *cacheGuest, edit func(*Options)) (warnings string) {
	t.Helper()
	o := testOptions(t, g.run)
	files := t.TempDir()
	for _, file := range []*string{&o.Machine.Kernel, &o.Machine.Initramfs} {
		*file = filepath.Join(files, *file)
		if err := os.WriteFile(*file, []byte("program"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.Job.Epoch = 0
	o.Cache = &Cache{Dir: dir, Key: "key", Limit: 1 << 20}
	o.Event = func(e wire.Event) { warnings += e.Text }
	if edit != nil {
		edit(&o)
	}
	if _, err := Solve(t.Context(), filepath.Join(t.TempDir(), "out"), o); err != nil {
		t.Fatal(err)
	}
	onlyIn(t, filepath.Join(dir, "sessions"))
	return warnings
}

func blobNames(texts ...string) (names []string) {
	for _, text := range texts {
		names = append(names, "blobs/"+strings.Replace(fromMemory([]byte(text)).digest, ":", "/", 1))
	}
	slices.Sort(names)
	return names
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	first := newCacheGuest(t, "one", "two")
	if said := solveCached(t, dir, first, nil); said != "" || len(first.found) > 0 || !first.asked {
		t.Errorf("an empty cache: %q, %q", said, first.found)
	}
	second := newCacheGuest(t, "one", "three")
	all := second.blobs
	second.blobs = second.blobs[1:] // it need not give what the host has; it may
	if said := solveCached(t, dir, second, nil); said != "" {
		t.Error(said)
	}
	slices.Sort(second.found)
	if diff := cmp.Diff(blobNames(first.blobs...), second.found); diff != "" {
		t.Errorf("blobs that the guest gets (-want +got):\n%s", diff)
	}
	third := newCacheGuest(t)
	solveCached(t, dir, third, nil)
	if diff := cmp.Diff([]string{second.manifest, first.manifest}, third.manifests); diff != "" {
		t.Errorf("manifests (-want +got):\n%s", diff)
	}
	if name := blobNames(all[len(all)-1])[0]; !slices.Contains(third.found, name) {
		t.Errorf("%s is not among %q", name, third.found)
	}
}

// TestCacheOfBase has a layer of the base image in the cache: it travels once, in either direction.
func TestCacheOfBase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	im, files := layerFiles(t)
	base, err := os.ReadFile(im.Layers[0].File)
	if err != nil {
		t.Fatal(err)
	}
	withBase := func(o *Options) { o.Images = []BaseImage{im} }
	first := newCacheGuest(t, string(base), "one")
	first.blobs = slices.DeleteFunc(first.blobs, func(b string) bool { return b == string(base) })
	if said := solveCached(t, dir, first, withBase); said != "" {
		t.Error(said)
	}
	second := newCacheGuest(t)
	if said := solveCached(t, dir, second, withBase); said != "" || len(second.manifests) != 1 {
		t.Error(said, second.manifests)
	}
	slices.Sort(second.found)
	if diff := cmp.Diff(blobNames(first.blobs...), second.found); diff != "" {
		t.Errorf("blobs besides the base's %d (-want +got):\n%s", len(files), diff)
	}
	// Without the image its layer comes from the cache, which kept it.
	third := newCacheGuest(t)
	solveCached(t, dir, third, nil)
	if !slices.Contains(third.found, blobNames(string(base))[0]) {
		t.Errorf("the base's layer is not among %q", third.found)
	}
}

// TestCacheFamily: what decides the result besides BuildKit's keys decides which caches are used.
func TestCacheFamily(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Options)
		used bool
	}{
		"same":         {nil, true},
		"another key":  {func(o *Options) { o.Cache.Key = "other" }, true},
		"more memory":  {func(o *Options) { o.Machine.MemoryMB, o.Machine.CPUs = 256, 2 }, true},
		"architecture": {func(o *Options) { o.Job.Arch = "arm64" }, false},
		"kernel":       {func(o *Options) { os.WriteFile(o.Machine.Kernel, []byte("other"), 0o600) }, false},
		"initramfs":    {func(o *Options) { os.WriteFile(o.Machine.Initramfs, []byte("other"), 0o600) }, false},
		"secret":       {func(o *Options) { o.Secrets.Secrets = map[string][]byte{"a": []byte("b")} }, false},
		"key":          {func(o *Options) { o.Secrets.SSH = map[string][]byte{"a": []byte("b")} }, false},
	} {
		dir := filepath.Join(t.TempDir(), "cache")
		solveCached(t, dir, newCacheGuest(t, "one"), nil)
		g := newCacheGuest(t, "two")
		if said := solveCached(t, dir, g, c.edit); said != "" || len(g.manifests) > 0 != c.used {
			t.Errorf("%s: manifests %q, %s", name, g.manifests, said)
		}
	}
	g := newCacheGuest(t, "one")
	dir := filepath.Join(t.TempDir(), "cache")
	solveCached(t, dir, g, nil)
	said := solveCached(t, dir, g, func(o *Options) { o.Job.Epoch = 7 })
	if g.asked || !strings.Contains(said, "SOURCE_DATE_EPOCH") {
		t.Errorf("with an epoch: %t, %q", g.asked, said)
	}
}

// TestCacheIsNotSaved has guests whose cache is of no use, though their image is.
func TestCacheIsNotSaved(t *testing.T) {
	other := fromMemory([]byte("other")).digest
	spoil := func(how func(p *wire.Payload, b []byte)) func(*cacheGuest) {
		return func(g *cacheGuest) { g.spoil = how }
	}
	for name, c := range map[string]struct {
		edit func(g *cacheGuest)
		want string
	}{
		"wrong sum":     {spoil(func(p *wire.Payload, _ []byte) { p.SHA256 = other[7:] }), "damaged"},
		"wrong blob":    {spoil(func(_ *wire.Payload, b []byte) { b[512] ^= 1 }), "has the digest"},
		"climbs out":    {spoil(func(_ *wire.Payload, b []byte) { copy(b, "../") }), "tar"},
		"no digest":     {func(g *cacheGuest) { g.manifest = "../../x" }, "gave no manifest"},
		"no manifest":   {func(g *cacheGuest) { g.manifest = other }, "manifest " + other},
		"missing layer": {func(g *cacheGuest) { g.blobs = g.blobs[:2] }, "did not give blob"},
	} {
		dir := filepath.Join(t.TempDir(), "cache")
		g := newCacheGuest(t, "one")
		c.edit(g)
		said := solveCached(t, dir, g, nil)
		if !strings.Contains(said, "this solve is not saved") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %q", name, said)
		}
		next := newCacheGuest(t)
		if said := solveCached(t, dir, next, nil); said != "" || len(next.manifests) > 0 {
			t.Errorf("%s: then %q, %s", name, next.manifests, said)
		}
	}
}

func FuzzUnpackBlobs(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: blobNames("x")[0], Typeflag: tar.TypeReg, Size: 1})
	io.WriteString(w, "x")
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		fuzztest.Limit(t, 8<<20+20*len(b), func() {
			unpackBlobs(bytes.NewReader(b), func(digest string) string { return filepath.Join(dir, filepath.Base(digest)) })
		})
		checkUnpacked(t, dir, len(b))
	})
}

// FuzzUnpackLayout unpacks the image that a guest has written.
func FuzzUnpackLayout(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range map[string]string{"oci-layout": "{}", "index.json": "{}", blobNames("x")[0]: "x"} {
		w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))})
		io.WriteString(w, text)
	}
	w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		fuzztest.Limit(t, 8<<20+20*len(b), func() {
			if unpackLayout(t.Context(), bytes.NewReader(b), dir) == nil {
				verifyLayout(dir)
			}
		})
		checkUnpacked(t, dir, len(b))
	})
}

// checkUnpacked checks that all files in a folder together are no larger than the archive, and that it has no others.
func checkUnpacked(t *testing.T, dir string, archive int) {
	t.Helper()
	total := int64(0)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no file", path)
		}
		total += info.Size()
		return err
	})
	if err != nil || total > int64(archive) {
		t.Errorf("%d bytes of %d, %v", total, archive, err)
	}
}
