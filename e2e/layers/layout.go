package layers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	digest "github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Tag is the reference name that WriteLayout gives the image.
const Tag = "latest"

// Compression is how a layout's layers are stored.
type Compression string

// The compressions of OCI layers.
const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"

	// The same in pieces: a gzip member for every pieceSize bytes, or a zstd frame with a skippable one behind it.
	GzipMembers Compression = "gzip members"
	ZstdFrames  Compression = "zstd frames"
)

const pieceSize = 40000

// Layer writes one layer's entries.
type Layer func(w *Writer) error

// WriteLayout makes an OCI image layout of the layers, base layer first, in the folder dir, which must not exist. The
// same layers give the same bytes.
func WriteLayout(dir string, compression Compression, config v1.ImageConfig, stack ...Layer) error {
	return WriteLayoutHistory(dir, compression, config, nil, stack...)
}

// WriteLayoutHistory is WriteLayout with the history that the config has.
func WriteLayoutHistory(
	dir string, compression Compression, config v1.ImageConfig, history []v1.History, stack ...Layer,
) error {
	blobs := filepath.Join(dir, v1.ImageBlobsDir, "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	image := v1.Image{
		Platform: v1.Platform{Architecture: "amd64", OS: "linux"},
		Config:   config,
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
		History:  history,
	}
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Layers:    []v1.Descriptor{},
	}
	for i, layer := range stack {
		descriptor, diffID, err := writeLayer(blobs, compression, layer)
		if err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
		manifest.Layers = append(manifest.Layers, descriptor)
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, diffID)
	}
	var err error
	if manifest.Config, err = writeJSON(blobs, v1.MediaTypeImageConfig, image); err != nil {
		return err
	}
	descriptor, err := writeJSON(blobs, v1.MediaTypeImageManifest, manifest)
	if err != nil {
		return err
	}
	descriptor.Platform = &image.Platform
	descriptor.Annotations = map[string]string{v1.AnnotationRefName: Tag}
	return writeIndex(dir, descriptor)
}

func writeIndex(dir string, manifest v1.Descriptor) error {
	index, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{manifest},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, v1.ImageIndexFile), index, 0o644); err != nil {
		return err
	}
	layout := []byte(`{"imageLayoutVersion":"` + v1.ImageLayoutVersion + `"}`)
	return os.WriteFile(filepath.Join(dir, v1.ImageLayoutFile), layout, 0o644)
}

func writeJSON(blobs, mediaType string, value any) (v1.Descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return v1.Descriptor{}, err
	}
	d := digest.FromBytes(data)
	err = os.WriteFile(filepath.Join(blobs, d.Encoded()), data, 0o644)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}, err
}

func writeLayer(blobs string, compression Compression, layer Layer) (v1.Descriptor, digest.Digest, error) {
	fail := func(err error) (v1.Descriptor, digest.Digest, error) { return v1.Descriptor{}, "", err }
	f, err := os.CreateTemp(blobs, "layer-*")
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	blob := &hashWriter{w: f, hash: sha256.New()}
	mediaType, encoder, err := encode(compression, blob)
	if err != nil {
		return fail(err)
	}
	diff := &hashWriter{w: encoder, hash: sha256.New()}
	w := NewWriter(diff)
	for _, step := range []func() error{func() error { return layer(w) }, w.Close, encoder.Close, f.Close} {
		if err := step(); err != nil {
			return fail(err)
		}
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return fail(err)
	}
	descriptor := v1.Descriptor{MediaType: mediaType, Digest: blob.digest(), Size: blob.size}
	return descriptor, diff.digest(), os.Rename(f.Name(), filepath.Join(blobs, descriptor.Digest.Encoded()))
}

func encode(compression Compression, w io.Writer) (string, io.WriteCloser, error) {
	switch compression {
	case None:
		return v1.MediaTypeImageLayer, nopCloser{w}, nil
	case Gzip:
		return v1.MediaTypeImageLayerGzip, gzip.NewWriter(w), nil
	case Zstd:
		// One encoder, or the bytes would follow the number of cores.
		encoder, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		return v1.MediaTypeImageLayerZstd, encoder, err
	case GzipMembers:
		return v1.MediaTypeImageLayerGzip, &pieces{w: w, of: Gzip}, nil
	case ZstdFrames:
		// A skippable frame of 3 bytes (RFC 8878, section 3.1.2).
		return v1.MediaTypeImageLayerZstd, &pieces{w: w, of: Zstd, behind: "\x5e\x2a\x4d\x18\x03\x00\x00\x00abc"}, nil
	}
	return "", nil, fmt.Errorf("compression %q: want %s, %s, %s, %s or %s", compression, None, Gzip, Zstd, GzipMembers, ZstdFrames)
}

// pieces compresses each pieceSize bytes alone.
type pieces struct {
	w      io.Writer
	of     Compression
	behind string // what follows each piece
	buf    []byte
}

func (p *pieces) Write(b []byte) (int, error) {
	p.buf = append(p.buf, b...)
	for len(p.buf) > pieceSize {
		if err := p.flush(pieceSize); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (p *pieces) Close() error { return p.flush(len(p.buf)) }

func (p *pieces) flush(n int) error {
	_, encoder, err := encode(p.of, p.w)
	if err != nil {
		return err
	}
	if _, err := encoder.Write(p.buf[:n]); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	p.buf = p.buf[n:]
	_, err = io.WriteString(p.w, p.behind)
	return err
}

// Tar returns a layer's uncompressed bytes.
func Tar(layer Layer) ([]byte, error) {
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := layer(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

type hashWriter struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (h *hashWriter) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.hash.Write(p[:n])
	h.size += int64(n)
	return n, err
}

func (h *hashWriter) digest() digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(h.hash.Sum(nil)))
}

// Blobs returns the paths of the layers of a layout that WriteLayout made, base layer first.
func Blobs(dir string) ([]string, error) {
	var index v1.Index
	if err := readJSON(filepath.Join(dir, v1.ImageIndexFile), &index); err != nil {
		return nil, err
	}
	var manifest v1.Manifest
	if err := readJSON(blobPath(dir, index.Manifests[0].Digest), &manifest); err != nil {
		return nil, err
	}
	var paths []string
	for _, layer := range manifest.Layers {
		paths = append(paths, blobPath(dir, layer.Digest))
	}
	return paths, nil
}

func blobPath(dir string, d digest.Digest) string {
	return filepath.Join(dir, v1.ImageBlobsDir, "sha256", d.Encoded())
}

func readJSON(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
