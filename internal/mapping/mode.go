package mapping

import (
	"path"
	"strings"
)

// programDirs and libraryDirs are where files are executable whatever they were before.
var (
	programDirs = []string{"bin/", "sbin/", "usr/bin/", "usr/sbin/", "usr/local/bin/", "usr/local/sbin/",
		"opt/bin/", "opt/sbin/"}
	libraryDirs = []string{"lib/", "lib64/", "usr/lib/", "usr/lib64/", "usr/local/lib/", "usr/local/lib64/"}
)

// FileMode is the mode of a file at a path relative to the root: 0755 when it is executable, lies below a folder of
// programs, or is a shared object (.so, .so.1) below a folder of libraries; else 0644.
func FileMode(dest string, executable bool) uint16 {
	if executable || below(dest, programDirs) || below(dest, libraryDirs) && isSharedObject(path.Base(dest)) {
		return 0o755
	}
	return 0o644
}

func below(dest string, dirs []string) bool {
	for _, dir := range dirs {
		if strings.HasPrefix(dest, dir) {
			return true
		}
	}
	return false
}

func isSharedObject(name string) bool {
	return strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")
}
