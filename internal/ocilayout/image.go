// Package ocilayout reads container images from files: an OCI image layout (OCI image specification 1.1,
// image-layout.md) as a directory or a tar archive, and the archive that docker save writes (Docker image
// specification 1.2).
//
// Nothing is believed before its digest was checked, and nothing is unpacked: the layers of an archive are read where
// they lie.
package ocilayout

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Image is one image of a layout.
type Image struct {
	store     store
	rawConfig []byte
	config    *Config
	layers    []Layer
	digests   []string // see Digest and Is
	root      string   // see Root
}

// Open finds the image for platform ("os/architecture" or "os/architecture/variant", such as "linux/amd64") in the
// layout directory, OCI archive or docker-save archive at path. An empty platform serves when there is only one image.
func Open(path, platform string) (*Image, error) { return OpenTagged(path, "", platform) }

// OpenTagged is Open for the images with a tag: the annotation org.opencontainers.image.ref.name (or containerd's
// io.containerd.image.name) in index.json, or one of RepoTags in an archive of docker save. An empty tag is any.
func OpenTagged(path, tag, platform string) (*Image, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var s store = dirStore(path)
	if !info.IsDir() {
		if s, err = openTar(path); err != nil {
			return nil, fmt.Errorf("image %s: %w", path, err)
		}
	}
	im, err := openStore(s, want, tag)
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("image %s: %w", path, err)
	}
	return im, nil
}

// OpenBlobs opens the image of a manifest whose blobs, the manifest too, are in the folder dir as a layout has them
// (blobs/sha256/HEX). The image must be for platform, if that is not empty.
func OpenBlobs(dir string, manifest Blob, platform string) (*Image, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, err
	}
	r := reader{store: dirStore(dir), want: want, read: new(int64)}
	return r.image(descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest, Size: manifest.Size})
}

// Close releases the archive. Layers cannot be opened any more.
func (im *Image) Close() error { return im.store.Close() }

// Config returns the image's configuration as it stands in the layout, and parsed.
func (im *Image) Config() ([]byte, *Config) { return im.rawConfig, im.config }

// Digest is what names the image: the digest of its manifest, or in an archive of docker save that of its config.
func (im *Image) Digest() string { return im.digests[0] }

// Root is the digest of the entry of index.json that the image was found by: of an index, which is the same for all
// platforms, or of the image's manifest. Elsewhere it is Digest.
func (im *Image) Root() string { return cmp.Or(im.root, im.Digest()) }

// Is tells whether a digest names the image: that of its manifest, of its config or of an index that it was found by.
func (im *Image) Is(digest string) bool { return slices.Contains(im.digests, digest) }

// Layers returns the image's layers, base layer first; there is at least one.
func (im *Image) Layers() []Layer { return im.layers }

// reader reads the documents of one layout.
type reader struct {
	store store
	want  platform
	tag   string // "": any
	read  *int64 // bytes of documents read so far
}

// maxDocuments bounds the bytes of all documents that are read to find an image: many images may name one large config.
const maxDocuments = 64 * MaxJSON

// spend counts a document.
func (r reader) spend(raw []byte) error {
	if *r.read += int64(len(raw)); *r.read > maxDocuments {
		return fmt.Errorf("its indexes, manifests and configs have more than %d MiB; keep fewer images in it", maxDocuments>>20)
	}
	return nil
}

// openStore tells the forms apart: docker save writes an OCI layout, too, since Docker 25, and that one is preferred
// because it has a digest for everything.
func openStore(s store, want platform, tag string) (*Image, error) {
	r := reader{s, want, tag, new(int64)}
	raw, err := r.document("index.json")
	if err == nil {
		return r.layout(raw)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if raw, err = r.document("manifest.json"); err == nil {
		return r.dockerSave(raw)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, errors.New("there is neither index.json nor manifest.json; accepted are an OCI image layout " +
		"(a directory or a tar) and the tar of docker save")
}

// document reads the JSON document at name.
func (r reader) document(name string) ([]byte, error) {
	f, _, err := r.store.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := readBounded(f, name)
	return raw, cmp.Or(err, r.spend(raw))
}

// choice is an image that may be the one asked for.
type choice struct {
	name     string // digest, or config name in an archive of docker save
	platform platform
	tags     []string
}

// choose returns the position of the one image for the wanted platform. An image that does not tell its platform
// serves when no other does.
func (r reader) choose(choices []choice) (int, error) {
	var fits, maybe []int
	for i, c := range choices {
		switch {
		case c.platform.serves(r.want):
			fits = append(fits, i)
		case !c.platform.known():
			maybe = append(maybe, i)
		}
	}
	if len(fits) == 0 {
		fits = maybe
	}
	switch {
	case len(choices) == 0:
		return 0, errors.New("holds no image")
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) == 0:
		return 0, fmt.Errorf("holds no image for %s, only %s", r.want, list(choices))
	case r.want.OS == "":
		return 0, fmt.Errorf("holds several images; choose one with --platform, or keep only one: %s", list(choices))
	}
	return 0, fmt.Errorf("holds several images for %s; keep only one of them: %s", r.want, list(choices))
}

// noTag says which tags there are in the place of the one that is looked for.
func (r reader) noTag(tags []string) error {
	if len(tags) == 0 {
		return fmt.Errorf("holds no image tagged %q, and no tags at all; leave the tag out", r.tag)
	}
	return fmt.Errorf("holds no image tagged %q, only %s", r.tag, strings.Join(tags, ", "))
}

// maxListed is how many images an error lists.
const maxListed = 20

func list(choices []choice) string {
	var out []string
	for i, c := range choices {
		if i == maxListed {
			out = append(out, fmt.Sprintf("and %d more", len(choices)-maxListed))
			break
		}
		out = append(out, fmt.Sprintf("%s (%s)", c.name, strings.Join(append([]string{c.platform.String()}, c.tags...), ", ")))
	}
	return strings.Join(out, "; ")
}

// finish checks a config against the layers and the platform, and makes the image.
func (r reader) finish(raw []byte, layers []Layer) (*Image, error) {
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	p := platform{c.OS, c.Architecture, c.Variant}
	if p.known() && !p.serves(r.want) {
		return nil, fmt.Errorf("image config: the image is for %s, not for %s", p, r.want)
	}
	switch {
	case len(layers) == 0:
		return nil, errors.New("empty image: there are no layers")
	case c.RootFS.Type != "layers":
		return nil, fmt.Errorf("image config: rootfs.type is %q, not \"layers\"", c.RootFS.Type)
	case len(c.RootFS.DiffIDs) != len(layers):
		return nil, fmt.Errorf("image config: rootfs.diff_ids has %d entries, but the manifest has %d layers",
			len(c.RootFS.DiffIDs), len(layers))
	}
	for i, id := range c.RootFS.DiffIDs {
		if _, err := hexDigest(id); err != nil {
			return nil, fmt.Errorf("image config: rootfs.diff_ids[%d]: %w", i, err)
		}
		layers[i].DiffID = id
		if layers[i].Digest == "" {
			layers[i].Digest = id
		}
	}
	return &Image{store: r.store, rawConfig: raw, config: c, layers: layers, digests: []string{digestOf(raw)}}, nil
}

// verified reads a small document whole and checks its size (-1: any) and digest.
func verified(f io.Reader, what, digest string, size int64) ([]byte, error) {
	return readBounded(newVerifier(f, what, digest, size), what)
}

// decode parses a document that was found as what.
func decode(raw []byte, what string, v any) error {
	if err := parseJSON(raw, v); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// known tells whether a media type is in accepted, with the error to report if it is not.
func known(mediaType string, accepted []string) error {
	if slices.Contains(accepted, mediaType) {
		return nil
	}
	return typeError(mediaType, accepted)
}
