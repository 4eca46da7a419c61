package inspect

import (
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/superblock"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// fileSystem shows what a superblock says.
func (t *textWriter) fileSystem(kind string, f *artifact.FileSystemInfo) {
	t.field("kind", "%s", kind)
	t.field("uuid", "%s", f.UUID)
	if f.Label != "" {
		t.field("label", "%s", Printable(f.Label))
	}
	t.field("blocks", "%d of %d bytes, %s", f.Blocks, f.BlockSize, ui.Size(int64(f.Bytes)))
	if f.Free != nil {
		t.field("free", "%s", bytesOf(int64(*f.Free)))
	}
	if f.Inodes != nil {
		free := ""
		if f.FreeInodes != nil {
			free = fmt.Sprintf(", %d of them free", *f.FreeInodes)
		}
		t.field("inodes", "%d%s", *f.Inodes, free)
	}
	if f.Created != nil {
		t.field("created", "%s", date(*f.Created))
	}
	t.field("features", "%s", strings.Join(f.Features, ", "))
}

// verity shows what the superblock of a hash tree says.
func (t *textWriter) verity(v *artifact.VerityInfo) {
	if v == nil {
		return
	}
	t.field("dm-verity", "%s, %d blocks of %d bytes, hash tree at byte %d", Printable(v.Algorithm), v.DataBlocks, v.DataBlockSize, v.HashOffset)
	if v.RootHash != "" {
		t.field("root hash", "%s", v.RootHash)
	}
	t.field("salt", "%s", v.Salt)
}

// verified says what was checked when nothing was found wrong.
func verified(im *imagefile.Image) string {
	info := im.Info()
	what := []string{"everything was read and agrees"}
	if info.FileSystem != nil {
		what[0] = "the superblock agrees"
		if im.Manifest != nil && im.Manifest.Checksum != "" {
			what = append(what, "the file has the digest of the manifest")
		}
	}
	switch {
	case info.Verity != nil && info.Verity.RootHash != "":
		what = append(what, "every block agrees with the hash tree")
	case info.Verity != nil:
		what = append(what, "veritysetup verify checks the hash tree, which is of another form than Fledge's")
	case info.FileSystem != nil:
		what = append(what, superblock.Checker(info.Kind)+" checks the rest")
	}
	return strings.Join(what, "; ")
}
