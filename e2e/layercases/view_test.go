package layercases

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/e2e/harness"
)

// view is a kind of image and what it cannot carry of a tree (docs/layers.md, "What each format carries").
type view struct {
	settings         harness.Settings
	minTime, maxTime int64 // seconds; others become the nearest
	xattrs           func(name string) bool
	linkedSymlinks   bool // symlinks can have several names
}

func noXattrs(string) bool  { return false }
func allXattrs(string) bool { return true }

// Squashfs has numbers for three namespaces of xattrs and none for system, where POSIX ACLs are.
func notSystem(name string) bool { return !strings.HasPrefix(name, "system.") }

var (
	squashfs  = view{harness.Settings{Kind: "squashfs", Compression: "zstd", Level: 1, BlockSize: 128 << 10}, 0, math.MaxUint32, notSystem, true}
	erofs     = view{harness.Settings{Kind: "erofs", Compression: "none"}, math.MinInt64, math.MaxInt64, allXattrs, true}
	erofsLZ4  = view{harness.Settings{Kind: "erofs", Compression: "lz4"}, math.MinInt64, math.MaxInt64, allXattrs, true}
	ext4      = view{harness.Settings{Kind: "ext4", Compression: "none"}, math.MinInt32, math.MinInt32 + 3<<32 - 1, allXattrs, true}
	initramfs = view{harness.Settings{Kind: "initramfs", Compression: "none"}, 0, math.MaxUint32, noXattrs, false}
	archive   = view{initramfs.settings, 0, math.MaxUint32, noXattrs, true} // the initramfs as cpio programs have it
)

// fileSystems are the views that the kernel mounts.
var fileSystems = []view{squashfs, erofs, erofsLZ4, ext4}

var (
	fields = regexp.MustCompile(`^("(?:[^"\\]|\\.)*") (\d+) (\d+:\d+) (-?\d+)(.*)$`)
	xattr  = regexp.MustCompile(` ((?:user|trusted|security|system)\.[^ ]+)=[0-9a-f]*`)
	links  = regexp.MustCompile(`^ links \d+ "(?:[^"\\]|\\.)*"`)
)

// of is what the view has of a tree that golden lines describe.
func (v view) of(golden []string) []string {
	var out []string
	for _, line := range golden {
		f := fields.FindStringSubmatch(line)
		seconds, err := strconv.ParseInt(f[4], 10, 64)
		if err != nil {
			panic(err) // a golden line always matches
		}
		rest := xattr.ReplaceAllStringFunc(f[5], func(s string) string {
			if v.xattrs(xattr.FindStringSubmatch(s)[1]) {
				return s
			}
			return ""
		})
		if !v.linkedSymlinks && strings.HasPrefix(f[2], "12") {
			rest = " links 1 " + f[1] + links.ReplaceAllString(rest, "")
		}
		seconds = min(max(seconds, v.minTime), v.maxTime)
		out = append(out, strings.TrimRight(fmt.Sprintf("%s %s %s %d%s", f[1], f[2], f[3], seconds, rest), " "))
	}
	return out
}

// pathOf is the path that a line describes.
func pathOf(line string) string {
	quoted, err := strconv.QuotedPrefix(line)
	if err != nil {
		panic(err) // lines of imagetest.Tree begin with one
	}
	path, _ := strconv.Unquote(quoted)
	return path
}

func quoted(path string) string { return strconv.Quote(path) }

// emptyFile is the promise of an empty file, or of one that only other file systems than umoci's hold so.
func emptyFile(path string, seconds int64, xattrs string) string {
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	return strings.TrimRight(fmt.Sprintf("100644 0:0 %d links 1 %q 0 bytes %s %s", seconds, path, none, xattrs), " ")
}
