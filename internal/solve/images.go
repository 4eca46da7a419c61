package solve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// BaseImage is an image that a Dockerfile may name. It has either a Layout, or Config and Layers.
type BaseImage struct {
	Refs   []string // as the Dockerfile names it, "alpine:3.22"
	Layout string   // OCI image layout, a directory or a tar, or a tar of docker save
	Config string   // file with the image's configuration
	Layers []Layer  // base layer first
}

// Layer is a layer of a base image as a file.
type Layer struct {
	File      string
	Digest    string // "sha256:…" of the file, "" if it is not known
	MediaType string // "" if it is not known: then the first bytes tell
}

// store is a base image, ready for the input disk.
type store struct {
	name     string // of the store
	refs     []string
	manifest []byte
	config   []byte
	layers   []source
	close    func() error
}

// source is a blob that is read when its turn comes.
type source struct {
	digest string
	size   int64
	open   func() (io.ReadCloser, error)
}

type stores []store

func (s stores) close() {
	for _, st := range s {
		if st.close != nil {
			st.close()
		}
	}
}

// names is what the job says of the images.
func (s stores) names() (list []wire.Image) {
	for _, st := range s {
		for _, ref := range st.refs {
			list = append(list, wire.Image{Ref: ref, Store: st.name, Digest: digest.FromBytes(st.manifest).String()})
		}
	}
	return list
}

// find looks for a blob in all images.
func (s stores) find(digest string) (source, bool) {
	for _, st := range s {
		for _, b := range st.blobs() {
			if b.digest == digest {
				return b, true
			}
		}
	}
	return source{}, false
}

func (st store) blobs() []source {
	return append([]source{fromMemory(st.manifest), fromMemory(st.config)}, st.layers...)
}

// openImages opens the base images for arch. They must be closed, whatever the error.
func openImages(ctx context.Context, images []BaseImage, arch string) (list stores, err error) {
	for i, im := range images {
		open := openLayers
		if im.Layout != "" {
			open = openLayout
		}
		st, err := open(ctx, im, arch)
		st.name, st.refs = fmt.Sprintf("image%d", i), im.Refs
		list = append(list, st) // with an error, too: it may be open
		if err != nil {
			return list, fmt.Errorf("base image %s: %w", im.Refs[0], err)
		}
	}
	return list, nil
}

// write adds the images' blobs, each digest of a store once.
func (s stores) write(ctx context.Context, a archive) error {
	for _, st := range s {
		done := map[string]bool{}
		for _, b := range st.blobs() {
			if done[b.digest] {
				continue
			}
			done[b.digest] = true
			if err := writeBlob(ctx, a, path.Join(wire.StoresDir, st.name), b); err != nil {
				return fmt.Errorf("base image %s: %w", st.refs[0], err)
			}
		}
	}
	return nil
}

func writeBlob(ctx context.Context, a archive, store string, b source) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := b.open()
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	if err := a.blob(store, b.digest, io.TeeReader(in, h), b.size); err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", h.Sum(nil)); got != b.digest {
		return fmt.Errorf("a layer has the digest %s, and %s was expected", got, b.digest)
	}
	return nil
}

func fromMemory(b []byte) source {
	return source{digest.FromBytes(b).String(), int64(len(b)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// openLayout opens an image of a layout or of an archive.
func openLayout(ctx context.Context, im BaseImage, arch string) (store, error) {
	image, err := ocilayout.Open(im.Layout, "linux/"+arch)
	if err != nil {
		return store{}, err
	}
	st := store{close: image.Close}
	config, _ := image.Config()
	if config, err = withHistory(config); err != nil {
		return st, err
	}
	st.config = config
	var layers []ocispec.Descriptor
	for _, l := range image.Layers() {
		d := ocispec.Descriptor{MediaType: ociType(l.MediaType), Digest: digest.Digest(l.Digest), Size: l.Size}
		if l.Digest == l.DiffID && d.MediaType != ocispec.MediaTypeImageLayer {
			// An archive of docker save does not tell the digest of a compressed layer.
			if d.Digest, d.Size, err = measure(ctx, l.Open); err != nil {
				return st, err
			}
		}
		layers = append(layers, d)
		st.layers = append(st.layers, source{d.Digest.String(), d.Size, l.Open})
	}
	st.manifest, err = manifest(config, layers)
	return st, err
}

// openLayers makes an image of single files. What has no digest yet is read for it.
func openLayers(ctx context.Context, im BaseImage, arch string) (store, error) {
	if im.Config == "" {
		return store{}, errors.New("it has no config, which a Dockerfile builds upon: give fledge_layers one")
	}
	parsed, err := ocilayout.ReadConfig(im.Config)
	if err != nil {
		return store{}, err
	}
	if err := parsed.CheckPlatform(arch); err != nil {
		return store{}, fmt.Errorf("%s: %w", im.Config, err)
	}
	if n := len(parsed.RootFS.DiffIDs); n != len(im.Layers) {
		return store{}, fmt.Errorf("%s: the config speaks of %d layers, and there are %d", im.Config, n, len(im.Layers))
	}
	config, err := os.ReadFile(im.Config)
	if err == nil {
		config, err = withHistory(config)
	}
	if err != nil {
		return store{}, err
	}
	st := store{config: config}
	var layers []ocispec.Descriptor
	for _, l := range im.Layers {
		d, err := describe(ctx, l)
		if err != nil {
			return store{}, fmt.Errorf("%s: %w", l.File, err)
		}
		layers = append(layers, d)
		st.layers = append(st.layers, source{d.Digest.String(), d.Size, func() (io.ReadCloser, error) { return os.Open(l.File) }})
	}
	st.manifest, err = manifest(config, layers)
	return st, err
}

// describe finds what is not known of a layer's file.
func describe(ctx context.Context, l Layer) (ocispec.Descriptor, error) {
	f, err := os.Open(l.File)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: ociType(l.MediaType), Digest: digest.Digest(l.Digest), Size: info.Size()}
	if d.MediaType == "" {
		var head [4]byte
		if _, err := f.ReadAt(head[:], 0); err != nil && err != io.EOF {
			return d, err
		}
		d.MediaType = mediaType(head)
	}
	if d.Digest == "" {
		d.Digest, d.Size, err = measure(ctx, func() (io.ReadCloser, error) { return os.Open(l.File) })
	}
	return d, err
}

// measure reads a blob for its digest and size.
func measure(ctx context.Context, open func() (io.ReadCloser, error)) (digest.Digest, int64, error) {
	in, err := open()
	if err != nil {
		return "", 0, err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, in})
	return digest.NewDigest(digest.SHA256, h), n, err
}

// ociType is the OCI media type of a layer with Docker's.
func ociType(mediaType string) string {
	const docker = "application/vnd.docker.image.rootfs.diff.tar"
	if suffix, ok := strings.CutPrefix(mediaType, docker); ok {
		return ocispec.MediaTypeImageLayer + strings.Replace(suffix, ".", "+", 1)
	}
	return mediaType
}

// mediaType tells what a layer is by how it begins.
func mediaType(head [4]byte) string {
	switch {
	case head[0] == 0x1f && head[1] == 0x8b:
		return ocispec.MediaTypeImageLayerGzip
	case head == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}

// manifest makes the manifest of an image, which only the guest sees: the registry's own may name what is not here.
func manifest(config []byte, layers []ocispec.Descriptor) ([]byte, error) {
	return json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config)),
		},
		Layers: layers,
	})
}

// contextReader stops when the context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
