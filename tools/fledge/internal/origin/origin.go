// Package origin tells which layer of a container image the files of an artifact came from. Artifacts do not say that:
// the layers are merged once more, and the result is compared with the artifact.
package origin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/fledge-build/fledge/internal/entries"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
)

// Added is the name of what comes from no layer.
const Added = "added"

// Layer is a layer, or what comes from none, and what of it is in the artifact. Files are regular ones; a file with
// several names counts once.
type Layer struct {
	Name        string `json:"name"`                 // "layer 1 of 5", or Added
	Digest      string `json:"digest,omitempty"`     // as the image has it; "" for Added, as the next two
	Size        int64  `json:"size,omitempty"`       // bytes of the layer as the image has it
	CreatedBy   string `json:"created_by,omitempty"` // what the image's history says of it
	Files       int    `json:"files"`
	Bytes       int64  `json:"bytes"`        // of their contents
	Stored      int64  `json:"stored"`       // bytes that these take in the artifact
	HiddenFiles int    `json:"hidden_files"` // of the layer that are not in the artifact: later ones hide or replace them
	HiddenBytes int64  `json:"hidden_bytes"`
}

// Report says what of an artifact came from which layer.
type Report struct {
	Image    string  `json:"source_image"`    // the reference
	Digest   string  `json:"source_digest"`   // of the image
	Replaced int     `json:"source_replaced"` // files and directories of the image that other ones in the artifact replace
	Layers   []Layer `json:"layers"`          // base layer first; the last is Added
	layers   []int32 // indexes of Layers, in the order of a walk of the artifact
}

// LayerOf is the index in Layers of the entry that a walk of all of the artifact gives as the n-th, from 0 on.
func (r *Report) LayerOf(n int) int { return int(r.layers[n]) }

// Find compares an artifact with the image called name. An artifact that was not made of it is an error: one in which
// names of the image are missing, or most of them are something else.
func Find(ctx context.Context, a artifact.Artifact, im *pull.Image, name string) (*Report, error) {
	r := &Report{Image: name, Digest: im.Digest, Layers: make([]Layer, len(im.Layers)+1)}
	r.Layers[len(im.Layers)].Name = Added
	created := history(im)
	sizes := make([][]int64, len(im.Layers))
	m := fstree.NewMerger()
	for i, l := range im.Layers {
		row := &r.Layers[i]
		*row = Layer{Name: fmt.Sprintf("layer %d of %d", i+1, len(im.Layers)), Digest: l.Digest, Size: l.Size, CreatedBy: created[i]}
		var err error
		if sizes[i], err = addLayer(ctx, m, l, row); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	tree, err := m.Tree()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &comparison{report: r, sizes: sizes, inodes: map[uint64]bool{}, nodes: map[*fstree.Node]bool{}}
	if err := c.run(a, tree); err != nil {
		return nil, err
	}
	return r, c.verdict(tree.Names + 1)
}

// errStopped is what ends the reading of a layer that cannot be merged.
var errStopped = errors.New("stopped")

// addLayer merges the next layer and gives the sizes of its files, by the number that is their Content. All are hidden
// in its row, until they are found.
func addLayer(ctx context.Context, m *fstree.Merger, l pull.Layer, row *Layer) (sizes []int64, err error) {
	var read error
	err = m.AddLayer(l.Digest, func(yield func(fstree.Entry, error) bool) {
		read = packing.AddLayer(ctx, adder(func(e fstree.Entry, size int64) error {
			if err := entries.Check(e); err != nil {
				return err
			}
			e.Xattrs = nil // nothing that is compared
			if e.Type == fstree.Regular {
				e.Content = uint32(len(sizes))
				sizes = append(sizes, size)
				if !fstree.IsWhiteout(e.Path) {
					row.HiddenFiles++
					row.HiddenBytes += size
				}
			}
			if !yield(e, nil) {
				return errStopped
			}
			return nil
		}), l.Open, l.Digest, l.Size, 0)
	})
	if read != nil && !errors.Is(read, errStopped) {
		err = read
	}
	return sizes, err
}

// adder is a layerpack.Adder that takes no contents.
type adder func(e fstree.Entry, size int64) error

func (a adder) Add(e fstree.Entry, _ io.Reader, size int64) error { return a(e, size) }

// history is what the image's config says of how its layers were made: "" where it does not.
func history(im *pull.Image) []string {
	var config struct {
		History []struct {
			CreatedBy string `json:"created_by"`
			Empty     bool   `json:"empty_layer"`
		} `json:"history"`
	}
	made := make([]string, 0, len(im.Layers))
	if json.Unmarshal(im.RawConfig, &config) == nil {
		for _, h := range config.History {
			if !h.Empty {
				made = append(made, h.CreatedBy)
			}
		}
	}
	if len(made) != len(im.Layers) { // which tools that write no history for theirs make
		return make([]string, len(im.Layers))
	}
	return made
}
