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

// verified says what was checked when nothing was found wrong.
func verified(im *imagefile.Image) string {
	info := im.Info()
	if info.FileSystem == nil {
		return "everything was read and agrees"
	}
	digest := ""
	if im.Manifest != nil && im.Manifest.Checksum != "" {
		digest = ", and the file has the digest of the manifest"
	}
	return fmt.Sprintf("the superblock agrees%s; %s checks the rest", digest, superblock.Checker(info.Kind))
}
