package ocilayout

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

const layoutVersion = "1.0.0"

// layout reads an image of an OCI image layout from its index.json.
func (r reader) layout(raw []byte) (*Image, error) {
	if err := r.checkVersion(); err != nil {
		return nil, err
	}
	w := walker{reader: r, indexes: make(map[string]bool), place: make(map[string]int), roots: make(map[string]string)}
	if err := w.addIndex(raw, "index.json", ""); err != nil {
		return nil, err
	}
	var images []descriptor
	var choices []choice
	for _, d := range w.images {
		c, err := r.choice(d)
		if errors.Is(err, errArtifact) {
			w.skipped = err
			continue
		}
		if err != nil {
			return nil, err
		}
		images = append(images, d)
		choices = append(choices, c)
	}
	if len(images) == 0 && w.skipped != nil {
		return nil, w.skipped
	}
	if len(images) == 0 && r.tag != "" {
		return nil, r.noTag(w.tags)
	}
	i, err := r.choose(choices)
	if err != nil {
		return nil, err
	}
	im, err := r.image(images[i])
	if err != nil {
		return nil, err
	}
	im.digests = slices.AppendSeq(im.digests, maps.Keys(w.indexes))
	im.root = w.roots[images[i].Digest]
	return im, nil
}

// errArtifact marks a manifest that is not an image's, such as a signature beside the image.
var errArtifact = errors.New("no image")

// checkVersion looks at the oci-layout file. Some tools leave it out, which harms nobody.
func (r reader) checkVersion() error {
	raw, err := r.document("oci-layout")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var v struct {
		ImageLayoutVersion string `json:"imageLayoutVersion"`
	}
	if err := decode(raw, "oci-layout", &v); err != nil {
		return err
	}
	if v.ImageLayoutVersion != layoutVersion {
		return fmt.Errorf("oci-layout: imageLayoutVersion is %q, not %q", v.ImageLayoutVersion, layoutVersion)
	}
	return nil
}

// walker collects the images of an index and of the indexes in it. Each index is read once, so a layout cannot make
// the walk longer than itself.
type walker struct {
	reader
	indexes map[string]bool // digests of those walked
	images  []descriptor
	place   map[string]int    // of a digest in images
	root    string            // digest of the entry of index.json that is walked
	roots   map[string]string // by digest of an image: that of the entry of index.json it was found by first
	skipped error             // why the last manifest that is of no use was left out
	tags    []string          // of what index.json names, when there is one to look for
}

// addIndex walks the index in raw, which was found as what and referred to by mediaType ("" for index.json).
func (w *walker) addIndex(raw []byte, what, mediaType string) error {
	var ix index
	if err := decode(raw, what, &ix); err != nil {
		return err
	}
	if err := checkKind(ix.SchemaVersion, ix.MediaType, mediaType); err != nil {
		return fmt.Errorf("%s %w", what, err)
	}
	for _, d := range ix.Manifests {
		if mediaType == "" && w.otherTag(d) {
			continue
		}
		if mediaType == "" {
			w.root = d.Digest
		}
		switch {
		case slices.Contains(manifestTypes, d.MediaType):
			w.addImage(d)
		case slices.Contains(indexTypes, d.MediaType):
			if w.indexes[d.Digest] {
				continue
			}
			w.indexes[d.Digest] = true
			nested, err := w.blob(d, "index")
			if err != nil {
				return err
			}
			if err := w.addIndex(nested, "index "+d.Digest, d.MediaType); err != nil {
				return err
			}
		default:
			err := typeError(d.MediaType, slices.Concat(manifestTypes, indexTypes))
			w.skipped = fmt.Errorf("%s: manifest %s %w", what, d.Digest, err)
		}
	}
	return nil
}

// otherTag tells whether an entry of index.json is not what is looked for.
func (w *walker) otherTag(d descriptor) bool {
	if w.tag == "" {
		return false
	}
	tags := d.tags()
	w.tags = append(w.tags, tags...)
	return !slices.ContainsFunc(tags, w.tagged)
}

// addImage notes d unless it is no image or there already under another tag.
func (w *walker) addImage(d descriptor) {
	if !d.image() {
		w.skipped = fmt.Errorf("manifest %s is %w but an artifact, and there is nothing else", d.Digest, errArtifact)
		return
	}
	i, ok := w.place[d.Digest]
	if !ok {
		w.place[d.Digest], w.roots[d.Digest] = len(w.images), w.root
		w.images = append(w.images, d)
	} else if w.images[i].Platform == nil {
		w.images[i].Platform = d.Platform
	}
}

const (
	refName        = "org.opencontainers.image.ref.name"
	containerdName = "io.containerd.image.name" // docker save since Docker 25; refName is the bare tag there
)

// tags are the names that index.json gives an entry.
func (d descriptor) tags() []string {
	var tags []string
	for _, key := range []string{refName, containerdName} {
		if tag := d.Annotations[key]; tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// tagged tells whether a name is the one that is looked for. Names of Docker Hub's images have a short form, too.
func (r reader) tagged(name string) bool { return shortName(name) == shortName(r.tag) }

func shortName(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
}

// choice learns the platform of an image: from the index, else from the image's config.
func (r reader) choice(d descriptor) (choice, error) {
	c := choice{name: d.Digest, tags: d.tags()}
	if d.Platform != nil {
		c.platform = *d.Platform
		return c, nil
	}
	m, err := r.manifest(d)
	if err != nil {
		return c, err
	}
	raw, err := r.blob(m.Config, "config")
	if err != nil {
		return c, err
	}
	config, err := ParseConfig(raw)
	if err != nil {
		return c, fmt.Errorf("%s: %w", m.Config.Digest, err)
	}
	c.platform = platform{config.OS, config.Architecture, config.Variant}
	return c, nil
}

func (r reader) manifest(d descriptor) (*manifest, error) {
	raw, err := r.blob(d, "manifest")
	if err != nil {
		return nil, err
	}
	return parseManifest(raw, "manifest "+d.Digest, d.MediaType)
}

// parseManifest reads a manifest that is called what and referred to by mediaType ("": not said).
func parseManifest(raw []byte, what, mediaType string) (*manifest, error) {
	var m manifest
	if err := decode(raw, what, &m); err != nil {
		return nil, err
	}
	if err := checkKind(m.SchemaVersion, m.MediaType, mediaType); err != nil {
		return nil, fmt.Errorf("%s %w", what, err)
	}
	if err := known(m.Config.MediaType, configTypes); err != nil {
		return nil, fmt.Errorf("%s is %w: config %s %w", what, errArtifact, m.Config.Digest, err)
	}
	return &m, nil
}

// image reads the image that d describes.
func (r reader) image(d descriptor) (*Image, error) {
	m, err := r.manifest(d)
	if err != nil {
		return nil, err
	}
	layers := make([]Layer, len(m.Layers))
	for i, l := range m.Layers {
		if layers[i], err = r.layer(l); err != nil {
			return nil, fmt.Errorf("manifest %s: layer %d: %w", d.Digest, i, err)
		}
	}
	raw, err := r.blob(m.Config, "config")
	if err != nil {
		return nil, err
	}
	im, err := r.finish(raw, layers)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	im.digests = []string{d.Digest, m.Config.Digest}
	return im, nil
}

// layer checks that a layer is of a known kind and in the layout; its content is checked when it is read.
func (r reader) layer(d descriptor) (Layer, error) {
	if err := d.checkLayer(); err != nil {
		return Layer{}, err
	}
	name, err := blobName(d)
	if err != nil {
		return Layer{}, err
	}
	f, size, err := r.store.open(name)
	if err != nil {
		return Layer{}, missing(err, name, d.Digest)
	}
	f.Close()
	if size != d.Size {
		return Layer{}, sizeError(name, size, d)
	}
	return Layer{Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, store: r.store, member: name}, nil
}

// checkLayer refuses kinds of layers that are not read.
func (d descriptor) checkLayer() error {
	switch {
	case slices.Contains(foreignTypes, d.MediaType):
		from := "not said where"
		if len(d.URLs) > 0 {
			from = strings.Join(d.URLs, " or ")
		}
		return fmt.Errorf("%s is a foreign layer (%s), which images do not carry: its source is %s; "+
			"use an image without such layers", d.Digest, d.MediaType, from)
	case strings.HasSuffix(d.MediaType, "+encrypted"):
		return fmt.Errorf("%s is an encrypted layer (%s); decrypt the image first, for example with "+
			"skopeo copy --decryption-key", d.Digest, d.MediaType)
	}
	if err := known(d.MediaType, layerTypes); err != nil {
		return fmt.Errorf("%s %w", d.Digest, err)
	}
	return nil
}

// blob reads a small blob and verifies it.
func (r reader) blob(d descriptor, kind string) ([]byte, error) {
	name, err := blobName(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	f, size, err := r.store.open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, missing(err, name, d.Digest))
	}
	defer f.Close()
	if size != d.Size {
		return nil, fmt.Errorf("%s: %w", kind, sizeError(name, size, d))
	}
	raw, err := verified(f, kind+" "+d.Digest, d.Digest, d.Size)
	return raw, cmp.Or(err, r.spend(raw))
}

func blobName(d descriptor) (string, error) {
	h, err := hexDigest(d.Digest)
	if err != nil {
		return "", err
	}
	return "blobs/sha256/" + h, nil
}

func missing(err error, name, digest string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s (%s) is missing; the layout is incomplete, copy the image again", name, digest)
	}
	return fmt.Errorf("blob %s: %w", name, err)
}

func sizeError(name string, size int64, d descriptor) error {
	return fmt.Errorf("blob %s has %d bytes, but its descriptor says %d; copy the image again", name, size, d.Size)
}
