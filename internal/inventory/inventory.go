// Package inventory tells what an image holds, for its software bill of materials and its provenance: layers, packages of
// the distribution, Go programs, and the files that were added, of all of which only what the merged tree still has
// counts. It reads the layers as they come, whatever kind of image is made of them, and unpacks nothing.
package inventory

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/layerpack"
	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/ospkg"
	"github.com/fledge-build/fledge/internal/packing"
)

// Inventory is what an image holds.
type Inventory struct {
	Layers   []Layer // base layer first
	Release  ospkg.Release
	Packages []Package // database by database, in its order
	Programs []Program // in the order of the tree
	Files    []File    // what parts added, in the order of the tree, and behind that what is beside it
}

// NoLayer is the Layer of what a part added that is no layer.
const NoLayer = -1

// Layer is one OCI layer.
type Layer struct {
	Digest    string // sha256:HEX of the blob; of an archive of docker save, of the uncompressed tar
	MediaType string // "" when nothing tells
	Size      int64  // bytes
	Label     string // of the part that it is from
}

// Package is a package of the distribution.
type Package struct {
	ospkg.Package
	Layer    int    // index of the layer that brought it in this version, or NoLayer
	Database string // absolute path of the database that names it
}

// Program is a program, or a shared object, of a layer that the Go linker made.
type Program struct {
	Path  string // absolute
	Layer int    // index of the layer
	Info  *buildinfo.BuildInfo
}

// File is a file of the image that is not from a layer.
type File struct {
	Kind   string
	Label  string
	Path   string // absolute; "" for what is beside the tree
	Size   int64
	SHA256 string               // hex
	Info   *buildinfo.BuildInfo // of what the Go linker made, else nil
}

// Take reads all parts of an image.
func Take(ctx context.Context, parts []Part) (*Inventory, error) {
	spool, err := os.CreateTemp("", "fledge-inventory-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	t := &taker{ctx: ctx, spool: &spooled{file: spool}, merger: fstree.NewMerger(), inventory: &Inventory{}}
	for _, part := range parts {
		if err := t.take(part); err != nil {
			return nil, err
		}
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	return t.inventory, nil
}

// taker reads parts.
type taker struct {
	ctx       context.Context
	spool     *spooled
	merger    *fstree.Merger
	layers    []merged // as the merger numbers them
	beside    []File
	inventory *Inventory
}

// merged is what was found in one layer of the tree: one of an image, or a part that adds files.
type merged struct {
	name  string
	part  Part
	index int // among the image's layers, or NoLayer
	found map[uint32]*finding
	paths map[string]*finding // what was kept, by its path in the layer
}

func (t *taker) take(part Part) error {
	switch part.Kind {
	case KindLayer:
		return t.layerFile(part)
	case KindLayout:
		return t.layout(part)
	case KindMaterial:
		return nil
	}
	if part.Dest == "" {
		s := newScan(t.spool, true)
		file := part
		file.Dest = "/" + filepath.Base(part.Src)
		if err := addFiles(t.ctx, s, file); err != nil {
			return err
		}
		for i := range s.contents {
			t.beside = append(t.beside, s.found[i].describe(part, ""))
		}
		return nil
	}
	return t.add(part, part.Label, NoLayer, func(to layerpack.Adder) error { return addFiles(t.ctx, to, part) })
}

// add reads a layer of the tree.
func (t *taker) add(part Part, name string, index int, fill func(to layerpack.Adder) error) error {
	s := newScan(t.spool, index == NoLayer)
	if err := fill(s); err != nil {
		return err
	}
	t.layers = append(t.layers, merged{name, part, index, s.found, s.paths})
	merge := t.merger.AddLayer
	if part.Kind == KindBusybox {
		merge = t.merger.AddMissing
	}
	return merge(name, s.entries())
}

func (t *taker) layerFile(part Part) error {
	in, err := os.Open(part.Src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	layer := Layer{MediaType: part.MediaType, Size: info.Size(), Label: part.Label}
	err = t.add(part, "layer "+part.Label, len(t.inventory.Layers), func(to layerpack.Adder) error {
		err := layerpack.AddLayer(t.ctx, to, io.TeeReader(in, sum), info.Size(), 0)
		if _, copyErr := io.Copy(sum, in); err == nil {
			err = copyErr
		}
		layer.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
		if part.Digest != "" && layer.Digest != part.Digest {
			err = fmt.Errorf("the file is damaged or another one: its digest is %s, not %s", layer.Digest, part.Digest)
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", part.Src, err)
		}
		return nil
	})
	t.inventory.Layers = append(t.inventory.Layers, layer)
	return err
}

func (t *taker) layout(part Part) error {
	image, err := ocilayout.Open(part.Src, part.Platform)
	if err != nil {
		return err
	}
	defer image.Close()
	for _, layer := range image.Layers() {
		index := len(t.inventory.Layers)
		t.inventory.Layers = append(t.inventory.Layers, Layer{layer.Digest, layer.MediaType, layer.Size, part.Label})
		err := t.add(part, "layer "+layer.Digest, index, func(to layerpack.Adder) error {
			return packing.AddLayer(t.ctx, to, layer.Open, layer.Digest, layer.Size, 0)
		})
		if err != nil {
			return fmt.Errorf("image %s: %w", part.Src, err)
		}
	}
	return nil
}

// finish merges the layers and looks for what is left in the tree.
func (t *taker) finish() error {
	tree, err := t.merger.Tree()
	if err != nil && !errors.Is(err, fstree.ErrEmpty) {
		return err
	}
	if err == nil {
		if err := t.files(tree); err != nil {
			return err
		}
		if err := t.packages(tree); err != nil {
			return err
		}
	}
	t.inventory.Files = append(t.inventory.Files, t.beside...)
	return nil
}

// files lists the programs and the added files that the tree has.
func (t *taker) files(tree *fstree.Tree) error {
	seen := map[*fstree.Node]bool{} // the other names of a hard link
	for path, node := range tree.All() {
		found := t.finding(node)
		if found == nil || seen[node] {
			continue
		}
		seen[node] = true
		layer := t.layers[node.Layer]
		if layer.index == NoLayer {
			t.inventory.Files = append(t.inventory.Files, found.describe(layer.part, "/"+path))
		} else if found.program != nil {
			t.inventory.Programs = append(t.inventory.Programs, Program{"/" + path, layer.index, found.program})
		}
	}
	return t.ctx.Err()
}

// finding is what the scan of its layer tells of a node, or nil.
func (t *taker) finding(node *fstree.Node) *finding {
	if node.Type != fstree.Regular || node.Layer < 0 {
		return nil
	}
	return t.layers[node.Layer].found[node.Content]
}
