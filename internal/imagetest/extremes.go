package imagetest

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// Extremes is a layer with what the file systems of Linux can hold beyond what Everything has and squashfs holds: POSIX
// ACLs, times before 1970 and after 2106, large extended attributes, ones of all kinds of files.
func Extremes(t testing.TB) []byte {
	file := func(name string, kind byte, mode, seconds int64, xattrs ...string) File {
		return withXattrs(at(File{Header: header(name, kind, mode)}, seconds), xattrs...)
	}
	files := []File{
		file("./", tar.TypeDir, 0o755, 1600000000, "user.root", "yes"),
		file("xattrs/", tar.TypeDir, 0o755, 1), file("times/", tar.TypeDir, 0o755, 1),
		file("acl/", tar.TypeDir, 0o770, 1, "system.posix_acl_access", ACL(1, 7, 0, 2, 5, 1000, 4, 5, 0, 16, 7, 0, 32, 0, 0),
			"system.posix_acl_default", ACL(1, 7, 0, 4, 5, 0, 8, 6, 70000, 16, 7, 0, 32, 0, 0)),
		file("acl/file", tar.TypeReg, 0o674, 1, "system.posix_acl_access",
			ACL(1, 6, 0, 2, 7, 1, 2, 0, 2, 4, 4, 0, 8, 7, 1, 16, 7, 0, 32, 4, 0),
			"user.with", strings.Repeat("a block of its own", 9)),
		file("xattrs/bytes", tar.TypeReg, 0o644, 1, "user.\xff\xfe", "name"),
		file("xattrs/name", tar.TypeReg, 0o644, 1, "user."+strings.Repeat("n", 250), "long name", "user.b", "short"),
		file("xattrs/full", tar.TypeReg, 0o644, 1, "user.full", Noise(9, 4096-32-4-16-4), "user.in", "inode"), // ext4 holds no more
	}
	for name, kind := range map[string]byte{"link": tar.TypeSymlink, "fifo": tar.TypeFifo, "char": tar.TypeChar} {
		f := file("xattrs/"+name, kind, 0o777, 1, "trusted.in", "inode", "trusted.block", Text(3, 500))
		if kind == tar.TypeSymlink {
			f.Linkname = "short"
		}
		files = append(files, f)
	}
	for _, seconds := range []int64{-1 << 31, -1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<33 - 1} {
		files = append(files, file(fmt.Sprintf("times/%d", seconds), tar.TypeReg, 0o644, seconds))
	}
	return Tar(t, files...)
}

// ACL is a POSIX ACL as programs see it, of triples of tag, permissions and id; the id counts for named users (tag 2) and
// groups (8) alone.
func ACL(triples ...uint32) string {
	const version, user, group = 2, 2, 8
	b := binary.LittleEndian.AppendUint32(nil, version)
	for i := 0; i < len(triples); i += 3 {
		tag, id := triples[i], triples[i+2]
		if tag != user && tag != group {
			id = math.MaxUint32 // as the kernel gives it
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(tag))
		b = binary.LittleEndian.AppendUint16(b, uint16(triples[i+1]))
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return string(b)
}

// Contents are 162 files of 64 MB together whose sizes and compressibility meet every border of blocks, clusters, segments
// and chunks, by name.
func Contents() map[string]string {
	files := map[string]string{}
	for _, size := range []int{
		0, 1, 13, 100, 3900, 3967, 3968, 3969, 4000, 4095, 4096, 4097, 8064, 8065, 8191, 8192, 12287, 20000, 65535, 65536,
		65537, 70000, 131072, 200_001, 1<<20 + 1, 4<<20 - 1, 4<<20 + 5000,
	} {
		files[fmt.Sprintf("text%d", size)] = Text(size, size)
		files[fmt.Sprintf("noise%d", size)] = Noise(size, size)
		files[fmt.Sprintf("zeros%d", size)] = strings.Repeat("\x00", size)
		files[fmt.Sprintf("x%d", size)] = strings.Repeat("x", size)
		var mixed strings.Builder
		for i := 0; mixed.Len() < size; i++ {
			mixed.WriteString(Noise(i, 3000+7*i%9000))
			mixed.WriteString(Text(i, 5000+13*i%20000))
		}
		files[fmt.Sprintf("mixed%d", size)] = mixed.String()[:size]
		sparse := []byte(strings.Repeat("\x00", size))
		for at := 0; at < size; at += 700_000 {
			copy(sparse[at:], Noise(at, 5000))
		}
		files[fmt.Sprintf("sparse%d", size)] = string(sparse)
	}
	return files
}
