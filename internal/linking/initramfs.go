package linking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fledge-build/fledge/internal/codec"
	"github.com/fledge-build/fledge/internal/cpiopack"
	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/initramfs"
)

// InitramfsOptions say how an initramfs is made.
type InitramfsOptions struct {
	Codec        codec.Spec
	Jobs         int          // segments compressed at once; 0 is one a core
	Required     []string     // absolute paths of programs that must be in the image
	Arch         string       // of the machine, amd64 or arm64; "" does not look for programs that cannot run there
	LintWarns    bool         // such programs are warnings
	LintRemedy   string       // how the caller's user sets that
	StrictXattrs bool         // a file that loses its capabilities is an error
	Warn         func(string) // told of warnings, a line each
}

// Layer is a pack, made for an initramfs.
type Layer struct {
	Pack string // file
	Fill bool   // only what the layers before it lack, and nothing where they have its first entry
}

const capability = "security.capability"

// Initramfs merges the layers, base first, on top of the directories that every initramfs has, and writes an initramfs
// to w.
func Initramfs(ctx context.Context, w io.Writer, layers []Layer, o InitramfsOptions) (initramfs.Stats, error) {
	tree, packs, err := merge(layers)
	defer func() {
		if len(packs) > 0 {
			closeAll(packs[1:])
		}
	}()
	if err == nil {
		err = check(tree, packs, o)
	}
	if err != nil {
		return initramfs.Stats{}, err
	}
	return initramfs.Link(ctx, w, tree, packs, initramfs.Options{Codec: o.Codec, Jobs: o.Jobs})
}

// InitramfsWarnings has a line for each thing that the initramfs could not keep.
func InitramfsWarnings(s initramfs.Stats) (lines []string) {
	for _, path := range s.Capabilities {
		lines = append(lines, fmt.Sprintf("/%s loses its file capabilities (%s), which an initramfs cannot hold", path, capability))
	}
	if s.Xattrs > 0 {
		lines = append(lines, fmt.Sprintf("dropped %d other extended attributes, which an initramfs cannot hold", s.Xattrs))
	}
	if s.Clamped > 0 {
		lines = append(lines, fmt.Sprintf("%d files have times outside of 1970 to 2106, which an initramfs cannot hold; "+
			"they got the nearest it can", s.Clamped))
	}
	return lines
}

// merge merges the layers. packs has the pack of each layer by its number in the tree, and nil for the first, which is
// none; they have to be closed, whatever the error.
func merge(layers []Layer) (tree *fstree.Tree, packs []*cpiopack.Reader, err error) {
	m := fstree.NewMerger()
	if err := m.AddLayer("base", initramfs.Base()); err != nil {
		return nil, nil, err
	}
	packs = append(packs, nil)
	for _, l := range layers {
		p, err := cpiopack.Open(l.Pack)
		if err != nil {
			return nil, packs, err
		}
		packs = append(packs, p)
		add := m.AddLayer
		if l.Fill {
			add = m.AddMissing
		}
		if err := add(p.Name(), p.Entries()); err != nil {
			return nil, packs, err
		}
	}
	tree, err = m.Tree()
	return tree, packs, err
}

// check finds what would only show when the image does not boot.
func check(tree *fstree.Tree, packs []*cpiopack.Reader, o InitramfsOptions) error {
	if err := checkRequired(tree, o.Required); err != nil {
		return err
	}
	if o.StrictXattrs {
		if err := checkCapabilities(tree); err != nil {
			return err
		}
	}
	if o.Arch == "" {
		return nil
	}
	problems, err := initramfs.Lint(tree, packs, o.Arch)
	if err != nil || len(problems) == 0 {
		return err
	}
	text := firstOf(problems)
	if !o.LintWarns {
		return errors.New(text + "\nif these are never run, " + o.LintRemedy)
	}
	for line := range strings.SplitSeq(text, "\n") {
		o.Warn(line)
	}
	return nil
}

// checkCapabilities refuses files that would lose their capabilities.
func checkCapabilities(tree *fstree.Tree) error {
	var problems []string
	for path, n := range tree.All() {
		for _, x := range n.Xattrs() {
			if x.Name == capability {
				problems = append(problems, fmt.Sprintf("/%s has file capabilities (%s)", path, capability))
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return errors.New(firstOf(problems) + "\nan initramfs cannot hold them: give these programs to root, boot a squashfs " +
		"image, or leave strict_xattrs out")
}
