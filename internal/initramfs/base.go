package initramfs

import (
	"iter"

	"github.com/fledge-build/fledge/internal/fstree"
)

// Base is the lowest layer of every initramfs: the directories that programs count on, and the two devices that must be
// there before the first instruction of the init. The kernel opens the console for it, and Go's runtime opens null in
// place of a console that does not exist.
func Base() iter.Seq2[fstree.Entry, error] {
	return func(yield func(fstree.Entry, error) bool) {
		for _, e := range []fstree.Entry{
			dir(".", 0o755), dir("bin", 0o755), dir("sbin", 0o755), dir("etc", 0o755),
			dir("proc", 0o555), dir("sys", 0o555), dir("dev", 0o755), dir("tmp", 0o1777), dir("run", 0o755),
			dir("usr", 0o755), dir("usr/bin", 0o755), dir("usr/sbin", 0o755), dir("usr/lib", 0o755),
			dir("var", 0o755), dir("var/log", 0o755),
			device("dev/console", 0o600, 5, 1), device("dev/null", 0o666, 1, 3),
		} {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func dir(path string, mode uint16) fstree.Entry {
	return fstree.Entry{Path: path, Type: fstree.Directory, Mode: mode, Content: fstree.NoContent}
}

func device(path string, mode uint16, major, minor uint32) fstree.Entry {
	return fstree.Entry{
		Path: path, Type: fstree.CharDevice, Mode: mode, Major: major, Minor: minor, Content: fstree.NoContent,
	}
}
