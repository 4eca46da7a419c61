package ocilayout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxEntries is how many images an index, or layers a manifest, may name. Registries take manifests of some 4 MB.
const maxEntries = 10_000

// Blob is a blob as an index or a manifest names it.
type Blob struct {
	MediaType string
	Digest    string // sha256:HEX
	Size      int64  // bytes
}

// Manifest is what an image's manifest names.
type Manifest struct {
	MediaType string
	Config    Blob
	Layers    []Blob // base layer first
}

// DocumentTypes are the media types of what ParseDocument reads, for a registry's Accept header.
func DocumentTypes() []string { return slices.Concat(indexTypes, manifestTypes) }

// ParseDocument reads what a registry has for a tag or a digest. An image's manifest is returned as such. Of an index
// the second result is the manifest, or the further index, for platform ("os/architecture[/variant]"): a platform
// without a variant takes the image without one or with the architecture's usual one, else the first of that
// architecture.
func ParseDocument(raw []byte, platform string) (*Manifest, *Blob, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return nil, nil, err
	}
	var kind struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
	}
	if err := parseJSON(raw, &kind); err != nil {
		return nil, nil, err
	}
	mediaType := kind.MediaType
	if mediaType == "" { // as old OCI documents leave it
		mediaType = guessType(raw)
	}
	switch {
	case kind.SchemaVersion == 1:
		return nil, nil, errSchema1
	case slices.Contains(indexTypes, mediaType):
		next, err := selectImage(raw, want)
		return nil, next, err
	case slices.Contains(manifestTypes, mediaType):
		m, err := imageManifest(raw, mediaType)
		return m, nil, err
	}
	return nil, nil, typeError(mediaType, DocumentTypes())
}

func guessType(raw []byte) string {
	var fields map[string]any
	if parseJSON(raw, &fields) != nil {
		return ""
	}
	if _, ok := fields["manifests"]; ok {
		return typeOCIIndex
	}
	if _, ok := fields["layers"]; ok {
		return typeOCIManifest
	}
	return ""
}

// selectImage finds the image for a platform in an index.
func selectImage(raw []byte, want platform) (*Blob, error) {
	var ix index
	if err := parseJSON(raw, &ix); err != nil {
		return nil, err
	}
	if err := checkKind(ix.SchemaVersion, "", ""); err != nil {
		return nil, err
	}
	if len(ix.Manifests) > maxEntries {
		return nil, fmt.Errorf("it has %d entries, and at most %d are taken", len(ix.Manifests), maxEntries)
	}
	var first *descriptor
	var seen []string
	for i, d := range ix.Manifests {
		p := d.Platform
		if p == nil || !d.image() {
			continue
		}
		seen = append(seen, p.String())
		if p.OS != want.OS || p.Architecture != want.Architecture {
			continue
		}
		if p.variant() == want.variant() {
			return d.document()
		}
		if first == nil {
			first = &ix.Manifests[i]
		}
	}
	if first != nil && want.Variant == "" {
		return first.document()
	}
	have := "no platform at all"
	if len(seen) > 0 {
		have = strings.Join(seen, ", ")
	}
	return nil, fmt.Errorf("the index has no %s; it has %.500s", want, have)
}

// document checks an entry of an index: what it names is read whole.
func (d descriptor) document() (*Blob, error) {
	if err := known(d.MediaType, DocumentTypes()); err != nil {
		return nil, fmt.Errorf("entry %s %w", d.Digest, err)
	}
	return d.small()
}

// small checks the descriptor of a JSON document.
func (d descriptor) small() (*Blob, error) {
	b, err := d.blob()
	if err == nil && b.Size > MaxJSON {
		err = fmt.Errorf("%s has %d bytes, and a JSON document at most %d", d.Digest, b.Size, MaxJSON)
	}
	return &b, err
}

func (d descriptor) blob() (Blob, error) {
	if _, err := hexDigest(d.Digest); err != nil {
		return Blob{}, err
	}
	if d.Size < 0 {
		return Blob{}, fmt.Errorf("%s cannot have %d bytes", d.Digest, d.Size)
	}
	return Blob{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, nil
}

func imageManifest(raw []byte, mediaType string) (*Manifest, error) {
	m, err := parseManifest(raw, "the manifest", "")
	if err != nil {
		return nil, err
	}
	config, err := m.Config.small()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	switch {
	case len(m.Layers) == 0:
		return nil, errors.New("empty image: there are no layers")
	case len(m.Layers) > maxEntries:
		return nil, fmt.Errorf("it has %d layers, and at most %d are taken", len(m.Layers), maxEntries)
	}
	out := &Manifest{MediaType: mediaType, Config: *config}
	for i, d := range m.Layers {
		b, err := d.blob()
		if err == nil {
			err = d.checkLayer()
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		out.Layers = append(out.Layers, b)
	}
	return out, nil
}
