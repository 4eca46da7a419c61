// Package solvetest makes jobs for tests: a base image of the machine's busybox, and input disks. It also reads the
// images that come out.
package solvetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Epoch is the jobs' epoch.
const Epoch = 1_000_000_000

// passwd and group have a user with a supplementary group.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
	group  = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"
)

// Case is a Dockerfile with what it needs.
type Case struct {
	Dockerfile string
	Context    map[string]string // files by their names
	Ignore     string            // Dockerfile.dockerignore
	Edit       func(*wire.Job)   // further settings
}

// Base is an image: blobs by their digests.
type Base struct {
	Image wire.Image
	Layer digest.Digest // its one layer, compressed
	blobs map[digest.Digest][]byte
}

// Busybox makes a base image, "base:1", of the machine's static busybox, with times younger than Epoch.
func Busybox(t testing.TB) Base {
	const path = "/bin/busybox"
	program, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("no busybox for a base image: %v", err)
	}
	if f, err := elf.NewFile(bytes.NewReader(program)); err != nil ||
		slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Skipf("%s is not linked statically: install busybox-static", path)
	}
	at := time.Unix(Epoch+1000, 0)
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	add := func(h tar.Header, data string) {
		h.ModTime, h.Size, h.Format = at, int64(len(data)), tar.FormatPAX
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(data))
	}
	for _, d := range []string{"bin", "etc", "home", "home/app", "root", "tmp", "var"} {
		mode := int64(0o755)
		if d == "tmp" {
			mode = 0o1777
		}
		add(tar.Header{Name: d + "/", Typeflag: tar.TypeDir, Mode: mode}, "")
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, string(program))
	for _, applet := range strings.Fields("sh cat ls id echo mkdir rm cp ln touch chmod chown grep stat env hostname " +
		"mount sleep seq head sort find test true false pwd mknod dd wc tr sed cut date ip kill nc sha256sum tail " +
		"dirname uname unshare rev printf wget") {
		add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, "")
	}
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, passwd)
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644}, group)
	w.Close()
	return newBase(t, plain.Bytes())
}

func newBase(t testing.TB, layer []byte) Base {
	b := Base{blobs: map[digest.Digest][]byte{}}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(layer)
	z.Close()
	put := func(kind string, data []byte) ocispecs.Descriptor {
		d := digest.FromBytes(data)
		b.blobs[d] = data
		return ocispecs.Descriptor{MediaType: kind, Digest: d, Size: int64(len(data))}
	}
	encode := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	l := put(ocispecs.MediaTypeImageLayerGzip, packed.Bytes())
	config := put(ocispecs.MediaTypeImageConfig, encode(ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH},
		RootFS:   ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
		// Without a history BuildKit makes one up, of what its cache happens to know.
		History: []ocispecs.History{{CreatedBy: "busybox"}},
		Config:  ocispecs.ImageConfig{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}},
	}))
	manifest := put(ocispecs.MediaTypeImageManifest, encode(ocispecs.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageManifest,
		Config: config, Layers: []ocispecs.Descriptor{l},
	}))
	b.Layer = l.Digest
	b.Image = wire.Image{Ref: "base:1", Store: "base", Digest: manifest.Digest.String()}
	return b
}

// Disk makes the input disk of a case.
func Disk(t testing.TB, base Base, c Case) []byte {
	job := wire.Job{Dockerfile: "Dockerfile", Arch: runtime.GOARCH, Epoch: Epoch, Images: []wire.Image{base.Image}}
	if c.Edit != nil {
		c.Edit(&job)
	}
	text, err := job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{wire.DockerfileDir + "/" + job.Dockerfile: c.Dockerfile}
	if c.Ignore != "" {
		files[wire.DockerfileDir+"/"+job.Dockerfile+".dockerignore"] = c.Ignore
	}
	for name, data := range c.Context {
		files[wire.ContextDir+"/"+name] = data
	}
	for d, data := range base.blobs {
		files[wire.StoresDir+"/"+base.Image.Store+"/blobs/sha256/"+d.Encoded()] = string(data)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, data string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(data))
	}
	add(wire.JobFile, string(text))
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		add(name, files[name])
	}
	w.Close()
	return b.Bytes()
}

// Image is an OCI archive, read.
type Image struct {
	Manifest ocispecs.Manifest
	Config   ocispecs.Image
	Blobs    map[digest.Digest][]byte
}

// ReadImage reads the archive of a solve, and checks all digests.
func ReadImage(t testing.TB, archive []byte) Image {
	im := Image{Blobs: map[digest.Digest][]byte{}}
	var index ocispecs.Index
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err != nil {
			break
		}
		data := new(bytes.Buffer)
		data.ReadFrom(r)
		if hex, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && h.Typeflag == tar.TypeReg {
			d := digest.FromBytes(data.Bytes())
			if d.Encoded() != hex {
				t.Errorf("blob %s has the digest %s", hex, d)
			}
			im.Blobs[d] = data.Bytes()
		}
		if h.Name == "index.json" {
			decode(t, data.Bytes(), &index)
		}
	}
	if len(index.Manifests) != 1 {
		t.Fatalf("%d manifests in the archive", len(index.Manifests))
	}
	decode(t, im.Blobs[index.Manifests[0].Digest], &im.Manifest)
	decode(t, im.Blobs[im.Manifest.Config.Digest], &im.Config)
	return im
}

func decode(t testing.TB, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// Files are the entries of the image's layers from the one numbered from on, later ones replacing earlier ones.
func (im Image) Files(t testing.TB, from int) map[string]File {
	files := map[string]File{}
	for _, l := range im.Manifest.Layers[from:] {
		z, err := gzip.NewReader(bytes.NewReader(im.Blobs[l.Digest]))
		if err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(z)
		for {
			h, err := r.Next()
			if err != nil {
				break
			}
			data := new(bytes.Buffer)
			data.ReadFrom(r)
			files[h.Name] = File{h, data.String()}
		}
	}
	return files
}

// File is an entry of a layer.
type File struct {
	*tar.Header
	Text string
}
