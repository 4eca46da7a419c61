package recipe

import (
	"cmp"
	"slices"

	"github.com/fledge-build/fledge/internal/bootconf"
	"github.com/fledge-build/fledge/internal/ext4"
	"github.com/fledge-build/fledge/internal/packing"
	"github.com/fledge-build/fledge/internal/tomlread"
)

const (
	defaultType    = packing.Squashfs
	defaultLevel   = 15
	defaultOverlay = "1G"
)

// Where the boot initramfs of a dm-verity image has the root hash from.
const (
	HashInitramfs = "initramfs" // it is baked in
	HashCmdline   = "cmdline"   // roothash= of the kernel command line
)

func (d *decoder) filesystem(top *tomlread.Table, strategy string) Filesystem {
	t := d.Sub(top, "filesystem")
	f := Filesystem{
		Type:             d.Choice(t, "type", packing.Filesystems...),
		CompressionLevel: int(d.Integer(t, "compression_level", defaultLevel, 1, 22)),
		OverlaySize:      cmp.Or(d.stated(t, "overlay_size", "filesystem.", bootconf.CheckSize), defaultOverlay),
		SizeBufferMB:     int(d.Integer(t, "size_buffer_mb", 0, 0, ext4.MaxSizeBuffer)),
		Preallocate:      d.Boolean(t, "preallocate"),
		Journal:          d.Boolean(t, "journal"),
		Verity:           d.Boolean(t, "verity"),
		VerityRootHash:   d.Choice(t, "verity_root_hash", HashInitramfs, HashCmdline),
	}
	if slices.Contains(packing.Filesystems, f.Type) {
		d.contradictions(t, f)
	}
	if t.Has("verity_root_hash") && !f.Verity {
		d.Errorf(d.Key(t, "verity_root_hash"), "filesystem.verity_root_hash needs verity = true; add it, or remove this")
	}
	if f.Type != packing.Squashfs {
		f.CompressionLevel = 0
	}
	if !f.Verity {
		f.VerityRootHash = ""
	}
	switch {
	case strategy == OCIRootfs && !top.Has("filesystem"):
		d.Missing(top, "filesystem", `, which strategy = "oci_rootfs" needs: add [filesystem] with type = "squashfs"`)
	case strategy == Initramfs && t.Present():
		d.Errorf(t.At(), `[filesystem] is for strategy = "oci_rootfs": an initramfs is unpacked into memory; remove it`)
	}
	if strategy != OCIRootfs {
		return Filesystem{}
	}
	return f
}

// contradictions finds keys that the type of file system has no use for. overlay_size is none of them: with a disk that
// is read-only, every type has the overlay.
func (d *decoder) contradictions(t *tomlread.Table, f Filesystem) {
	writable := packing.Writable(f.Type)
	for _, c := range []struct {
		key   string
		wrong bool
		why   string
	}{
		{"compression_level", f.Type != packing.Squashfs && t.Has("compression_level"), "which has no levels of compression; remove it"},
		{"size_buffer_mb", !writable && f.SizeBufferMB > 0,
			"which has no free space: remove it, and set overlay_size to what the guest may write"},
		{"preallocate", !writable && f.Preallocate, "which has no free space; remove it"},
		{"journal", f.Type != packing.Ext4 && f.Journal, journalWhy(f.Type)},
		{"verity", writable && f.Verity, `which the guest writes to: remove it, or write type = "squashfs" or "erofs"`},
	} {
		if c.wrong {
			d.Errorf(d.Key(t, c.key), "filesystem.%s contradicts %s, %s", c.key, f.Type, c.why)
		}
	}
}

// journalWhy says why a file system other than ext4 takes no journal.
func journalWhy(filesystem string) string {
	switch filesystem {
	case packing.XFS:
		return "which always has a journal; remove it"
	case packing.Btrfs:
		return "which needs none, as it never overwrites what is in use; remove it"
	}
	return "which is read-only; remove it"
}
