package imagefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/tools/fledge/internal/naming"
)

// Manifest is the manifest.json of an image.
type Manifest struct {
	*manifest.Manifest
	Name     string // the file
	Checksum string // that it says the image has; "" when it does not name the image
}

// findManifest reads the manifest that is beside an image, if there is one. One that names the image comes first.
func findManifest(image string) (*Manifest, error) {
	var found *Manifest
	for _, name := range naming.ManifestsOf(image) {
		m, err := manifest.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, part := range []*manifest.Artifact{m.RootFS, m.Initramfs} {
			if part != nil && names(name, part, image) {
				return &Manifest{m, name, part.Checksum}, nil
			}
		}
		if found == nil {
			found = &Manifest{Manifest: m, Name: name}
		}
	}
	return found, nil
}

// names tells whether a part of a manifest is the image.
func names(name string, part *manifest.Artifact, image string) bool {
	file, err := naming.Located(name, part)
	return err == nil && filepath.Clean(file) == filepath.Clean(image)
}

// openManifest opens the image that a manifest names.
func openManifest(ctx context.Context, name string) (*Image, error) {
	m, err := manifest.ReadFile(name)
	if err != nil {
		return nil, err
	}
	part := m.RootFS
	if part == nil {
		part = m.Initramfs
	}
	if part == nil {
		return nil, fmt.Errorf("%s: JSON, which names neither a rootfs nor an initramfs: is it an image's manifest.json?", name)
	}
	file, err := naming.Located(name, part)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	im, err := open(ctx, file, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	im.Manifest = &Manifest{m, name, part.Checksum}
	return im, nil
}
