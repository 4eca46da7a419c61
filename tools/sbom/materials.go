package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/inventory"
	"github.com/fledge-build/fledge/internal/mapping"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/provenance"
)

// materials names what the image is made of, with digests. Of the files that one label stands for there is one digest.
func materials(ctx context.Context, parts []inventory.Part) (all []provenance.Descriptor, err error) {
	all = []provenance.Descriptor{}
	for len(parts) > 0 {
		part, same := parts[0], 1
		var found []provenance.Descriptor
		switch part.Kind {
		case inventory.KindLayer:
			found, err = layerFile(part)
		case inventory.KindLayout:
			found, err = layout(part)
		default:
			for same < len(parts) && parts[same].Kind == part.Kind && parts[same].Label == part.Label {
				same++
			}
			found, err = files(parts[:same])
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		all, parts = append(all, found...), parts[same:]
	}
	return all, nil
}

// layerFile names a layer. A digest that is known was checked when the layer was packed.
func layerFile(part inventory.Part) (_ []provenance.Descriptor, err error) {
	digits := strings.TrimPrefix(part.Digest, "sha256:")
	if digits == "" {
		if digits, err = hashFile(part.Src); err != nil {
			return nil, err
		}
	}
	return []provenance.Descriptor{{
		Name:        part.Label,
		Digest:      provenance.Digest{"sha256": digits},
		MediaType:   part.MediaType,
		Annotations: map[string]string{"kind": part.Kind},
	}}, nil
}

// layout names an image and its layers.
func layout(part inventory.Part) ([]provenance.Descriptor, error) {
	image, err := ocilayout.Open(part.Src, part.Platform)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	all := []provenance.Descriptor{{
		Name:        part.Label,
		Digest:      provenance.Digest{"sha256": strings.TrimPrefix(image.Digest(), "sha256:")},
		Annotations: map[string]string{"kind": "image"},
	}}
	for _, layer := range image.Layers() {
		all = append(all, provenance.Descriptor{
			Name:        part.Label,
			Digest:      provenance.Digest{"sha256": strings.TrimPrefix(layer.Digest, "sha256:")},
			MediaType:   layer.MediaType,
			Annotations: map[string]string{"kind": inventory.KindLayer, "size": strconv.FormatInt(layer.Size, 10)},
		})
	}
	return all, nil
}

// hashed is a file of a label.
type hashed struct{ path, digits string }

// files names the files of one label: one by its SHA-256, several by the dirHash (in-toto's digest_set.md) of them.
func files(parts []inventory.Part) ([]provenance.Descriptor, error) {
	annotations := map[string]string{"kind": parts[0].Kind}
	var list []hashed
	single := len(parts) == 1
	for _, part := range parts {
		// Paths in the image matter here to tell the files apart only.
		dest := strings.Trim(part.Dest, "/")
		if dest == "" {
			dest = filepath.Base(part.Src)
		}
		spec := mapping.Spec{Mappings: []mapping.Mapping{{Src: part.Src, Dest: dest}}}
		found, err := spec.Files()
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			single = single && f.Path == dest && !f.Folder
			if f.Folder {
				continue
			}
			digits, err := hashFile(f.Source)
			if err != nil {
				return nil, err
			}
			list = append(list, hashed{f.Path, digits})
		}
	}
	d := provenance.Descriptor{Name: parts[0].Label, Annotations: annotations}
	if len(parts) == 1 && parts[0].Dest != "" {
		annotations["path"] = parts[0].Dest
	}
	if single {
		d.Digest = provenance.Digest{"sha256": list[0].digits}
	} else {
		d.Digest = provenance.Digest{"dirHash": dirHash(list)}
	}
	return []provenance.Descriptor{d}, nil
}

// dirHash is the SHA-256 of what sha256sum prints for the files in the order of their paths.
func dirHash(list []hashed) string {
	slices.SortFunc(list, func(a, b hashed) int { return strings.Compare(a.path, b.path) })
	sum := sha256.New()
	for _, f := range list {
		fmt.Fprintf(sum, "%s  %s\n", f.digits, f.path)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// hashFile gives the digits of a file's SHA-256.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), err
}
