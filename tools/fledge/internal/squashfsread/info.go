package squashfsread

import (
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// Info tells what the superblock says.
func (r *Reader) Info() *artifact.Info {
	s := &r.super
	return &artifact.Info{
		Kind: artifact.Squashfs,
		Size: r.size,
		Squashfs: &artifact.SquashfsInfo{
			Version:    fmt.Sprintf("%d.%d", s.major, s.minor),
			Compressor: compressorNames[s.compressor],
			Options:    append([]string{}, r.options...),
			BlockSize:  s.blockSize,
			Created:    s.created,
			Flags:      s.flagList(),
			Inodes:     s.inodes,
			Fragments:  s.fragments,
			IDs:        s.ids,
			BytesUsed:  int64(s.used),
			Parts:      r.parts(),
		},
	}
}

// parts are the parts of the image in their order. A table is its metadata blocks and the list of their places.
func (r *Reader) parts() []artifact.Part {
	parts := []artifact.Part{
		{Name: "superblock", Size: superblockSize},
		{Name: "data", Offset: superblockSize, Size: r.inodes.start - superblockSize},
		{Name: "inodes", Offset: r.inodes.start, Size: r.inodes.end - r.inodes.start},
		{Name: "directories", Offset: r.dirs.start, Size: r.dirs.end - r.dirs.start},
	}
	for name, t := range map[string]*table{"fragments": r.fragments, "export": r.export, "ids": r.ids} {
		if t != nil {
			parts = append(parts, artifact.Part{Name: name, Offset: t.start, Size: t.end - t.start})
		}
	}
	if r.xattrs != nil {
		parts = append(parts, artifact.Part{Name: "xattrs", Offset: r.keys.start, Size: r.xattrs.end - r.keys.start})
	}
	slices.SortFunc(parts, func(a, b artifact.Part) int { return int(a.Offset - b.Offset) })
	if r.super.flags&flagCompressorOpt != 0 {
		parts[1].Name = "compressor options and data"
	}
	return parts
}
