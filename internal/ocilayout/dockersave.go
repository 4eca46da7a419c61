package ocilayout

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// saved is one image of the manifest.json of docker save.
type saved struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// dockerSave reads an image of an archive of docker save from its manifest.json. Such an archive has no digests for
// the layers as they are stored: the config's diff_ids vouch for their content.
func (r reader) dockerSave(raw []byte) (*Image, error) {
	var all []saved
	if err := decode(raw, "manifest.json", &all); err != nil {
		return nil, err
	}
	if len(all) > maxEntries {
		return nil, fmt.Errorf("manifest.json: it has %d images, and at most %d are taken", len(all), maxEntries)
	}
	var images []saved
	var configs [][]byte
	var choices []choice
	var tags []string
	for _, s := range all {
		tags = append(tags, s.RepoTags...)
		if r.tag != "" && !slices.ContainsFunc(s.RepoTags, r.tagged) {
			continue
		}
		same := func(o saved) bool { return o.Config == s.Config && slices.Equal(o.Layers, s.Layers) }
		if i := slices.IndexFunc(images, same); i >= 0 {
			choices[i].tags = append(choices[i].tags, s.RepoTags...)
			continue
		}
		raw, err := r.savedConfig(s.Config)
		if err != nil {
			return nil, fmt.Errorf("manifest.json: config %w", err)
		}
		c, err := ParseConfig(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Config, err)
		}
		images = append(images, s)
		configs = append(configs, raw)
		choices = append(choices, choice{s.Config, platform{c.OS, c.Architecture, c.Variant}, slices.Clone(s.RepoTags)})
	}
	if len(choices) == 0 && r.tag != "" {
		return nil, r.noTag(tags)
	}
	i, err := r.choose(choices)
	if err != nil {
		return nil, err
	}
	layers := make([]Layer, len(images[i].Layers))
	for j, name := range images[i].Layers {
		if layers[j], err = r.savedLayer(name); err != nil {
			return nil, fmt.Errorf("manifest.json: layer %d: %w", j, err)
		}
	}
	return r.finish(configs[i], layers)
}

// savedConfig reads a config, which is named by its digest in every writer known: "<hex>.json" (Docker, Podman,
// Skopeo), "sha256:<hex>" (crane) or "blobs/sha256/<hex>" (Docker since 25).
func (r reader) savedConfig(name string) ([]byte, error) {
	f, _, err := r.openSaved(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := strings.TrimPrefix(strings.TrimSuffix(path.Base(name), ".json"), "sha256:")
	var raw []byte
	if isHexSHA256(h) {
		raw, err = verified(f, name, "sha256:"+h, -1)
	} else {
		raw, err = readBounded(f, name)
	}
	return raw, cmp.Or(err, r.spend(raw))
}

// savedLayer looks at a layer: an uncompressed tar, as Docker writes it, or a tar+gzip, as crane does. Its Digest is
// set from the diff_ids later.
func (r reader) savedLayer(name string) (Layer, error) {
	f, size, err := r.openSaved(name)
	if err != nil {
		return Layer{}, err
	}
	defer f.Close()
	var start [4]byte
	n, err := io.ReadFull(f, start[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return Layer{}, fmt.Errorf("%s: %w", name, err)
	}
	l := Layer{MediaType: typeDockerLayer, Size: size, store: r.store, member: name}
	switch {
	case bytes.HasPrefix(start[:n], []byte("\x1f\x8b")):
		l.MediaType, l.gunzip = typeDockerLayer+".gzip", true
	case bytes.HasPrefix(start[:n], []byte("\x28\xb5\x2f\xfd")):
		return Layer{}, fmt.Errorf("%s is a zstd stream, which this kind of archive cannot hold; accepted are tar and "+
			"tar+gzip, or save the image as an OCI archive", name)
	}
	return l, nil
}

func (r reader) openSaved(name string) (io.ReadCloser, int64, error) {
	if !fs.ValidPath(name) {
		return nil, 0, fmt.Errorf("%q is not the name of a member of the archive", name)
	}
	f, size, err := r.store.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%s is missing; the archive is incomplete, save the image again", name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	return f, size, nil
}
