package imagetest

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// countLinks counts the names of each file.
func (r *random) countLinks(dir *randomNode, links map[*randomNode]int) map[*randomNode]int {
	for _, c := range dir.children {
		links[c]++
		if c.children != nil {
			r.countLinks(c, links)
		}
	}
	return links
}

var randomTypes = map[byte]uint32{
	tar.TypeReg: unix.S_IFREG, tar.TypeDir: unix.S_IFDIR, tar.TypeSymlink: unix.S_IFLNK, tar.TypeChar: unix.S_IFCHR,
	tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO,
}

// describe appends what Tree has to tell of n and what is below it.
func (r *random) describe(path string, n *randomNode, want *[]string, first map[*randomNode]string, links map[*randomNode]int) {
	mode := randomTypes[n.Typeflag] | uint32(n.Mode)
	line := fmt.Sprintf("%q %06o %d:%d %d", path, mode, n.Uid, n.Gid, n.ModTime.Unix())
	if n.children == nil {
		if _, ok := first[n]; !ok {
			first[n] = path
		}
		line += fmt.Sprintf(" links %d %q", links[n], first[n])
	}
	what := ""
	switch n.Typeflag {
	case tar.TypeReg:
		what = fmt.Sprintf("%d bytes %x", len(n.Data), sha256.Sum256([]byte(n.Data)))
	case tar.TypeSymlink:
		what = fmt.Sprintf("-> %q", n.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		what = fmt.Sprintf("%d:%d", n.Devmajor, n.Devminor)
	}
	var attrs []string
	for key, value := range n.PAXRecords {
		attrs = append(attrs, fmt.Sprintf("%s=%x", strings.TrimPrefix(key, "SCHILY.xattr."), value))
	}
	slices.Sort(attrs)
	*want = append(*want, strings.TrimRight(line+" "+what+" "+strings.Join(attrs, " "), " "))
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		below := name
		if path != "." {
			below = path + "/" + name
		}
		r.describe(below, n.children[name], want, first, links)
	}
}
