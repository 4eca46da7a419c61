package layerpack

import (
	"archive/tar"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
)

// entryOf translates a tar header.
func entryOf(h *tar.Header) (fstree.Entry, error) {
	e := fstree.Entry{Mode: uint16(h.Mode & 0o7777), ModTime: h.ModTime.Unix(), Content: fstree.NoContent}
	var err error
	if e.Path, err = cleanName(h.Name); err != nil {
		return e, err
	}
	if e.UID, err = owner("uid", int64(h.Uid)); err != nil {
		return e, err
	}
	if e.GID, err = owner("gid", int64(h.Gid)); err != nil {
		return e, err
	}
	if err := setType(&e, h); err != nil {
		return e, err
	}
	e.Xattrs, err = xattrsOf(h.PAXRecords)
	return e, err
}

func setType(e *fstree.Entry, h *tar.Header) (err error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse:
		e.Type = fstree.Regular
	case tar.TypeDir:
		e.Type = fstree.Directory
	case tar.TypeSymlink:
		e.Type, e.Link = fstree.Symlink, h.Linkname
	case tar.TypeLink:
		e.Type = fstree.HardLink
		if e.Link, err = cleanName(h.Linkname); err != nil {
			return fmt.Errorf("hard link target %.1000q: %w", h.Linkname, err)
		}
	case tar.TypeChar, tar.TypeBlock:
		e.Type = fstree.CharDevice
		if h.Typeflag == tar.TypeBlock {
			e.Type = fstree.BlockDevice
		}
		if e.Major, err = id("device major", h.Devmajor); err != nil {
			return err
		}
		e.Minor, err = id("device minor", h.Devminor)
		return err
	case tar.TypeFifo:
		e.Type = fstree.FIFO
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	return nil
}

// owner is id without the last number, which Linux keeps for "no owner" and shows as that of nobody.
func owner(what string, v int64) (uint32, error) {
	if v == math.MaxUint32 {
		return 0, fmt.Errorf("%s %d is no owner to Linux, which has them up to %d", what, v, math.MaxUint32-1)
	}
	return id(what, v)
}

func id(what string, v int64) (uint32, error) {
	if v < 0 || v > math.MaxUint32 {
		return 0, fmt.Errorf("%s %d does not fit into 32 bits", what, v)
	}
	return uint32(v), nil
}

// cleanName turns a name in an archive into a path as fstree.Entry has it. "/" is accepted for the root, since kaniko
// writes it.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the name is empty")
	case name == "/":
		return ".", nil
	case name[0] == '/':
		return "", errors.New("the name is absolute; names in a layer are relative to its root")
	}
	parts := strings.Split(name, "/")
	if slices.Contains(parts, "..") {
		return "", errors.New(`the name has a ".." element, which could lead out of the root`)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" || part == "." })
	if len(parts) == 0 {
		return ".", nil
	}
	return strings.Join(parts, "/"), nil
}

// The prefixes of PAX records that hold an extended attribute: star's, which all tools of OCI use, has name and value
// as they are; libarchive's has the name percent-encoded and the value in base64 without padding. bsdtar writes both,
// so the second counts only where the first is missing.
const (
	schilyXattr     = "SCHILY.xattr."
	libarchiveXattr = "LIBARCHIVE.xattr."
)

func xattrsOf(records map[string]string) ([]fstree.Xattr, error) {
	var list, second []fstree.Xattr
	for key, value := range records {
		if name, ok := strings.CutPrefix(key, schilyXattr); ok {
			list = append(list, fstree.Xattr{Name: name, Value: []byte(value)})
		} else if encoded, ok := strings.CutPrefix(key, libarchiveXattr); ok {
			name, err := url.PathUnescape(encoded)
			if err != nil {
				return nil, fmt.Errorf("PAX record %.100q: %w", key, err)
			}
			plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
			if err != nil {
				return nil, fmt.Errorf("PAX record %.100q: %w", key, err)
			}
			second = append(second, fstree.Xattr{Name: name, Value: plain})
		}
	}
	if len(list) == 0 {
		list = second
	}
	slices.SortFunc(list, func(a, b fstree.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}
