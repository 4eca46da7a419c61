package layercases

import (
	"archive/tar"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// valueCases hold values at the borders of what Linux and the formats of images hold.
func valueCases() []layerCase {
	return slices.Concat(attributeCases(), nameCases(), xattrCases(), contentCases())
}

func attributeCases() []layerCase {
	var modes, owners, times, devices []entry
	for _, mode := range []int64{0, 1, 0o100, 0o200, 0o400, 0o644, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7000, 0o7777} {
		modes = append(modes, file(fmt.Sprintf("f%04o", mode), "").owned(mode, 0, 0, 1), dir(fmt.Sprintf("d%04o", mode)).owned(mode, 0, 0, 1),
			fifo(fmt.Sprintf("p%04o", mode)).owned(mode, 0, 0, 1), soft(fmt.Sprintf("s%04o", mode), "x").owned(mode, 0, 0, 1))
	}
	for i, id := range []int{0, 1, 255, 32767, 32768, 65533, 65534, 65535, 65536, 1<<31 - 1, 1 << 31, 4294967294} {
		owners = append(owners, file(fmt.Sprintf("f%d", id), "").owned(0o644, id, 4294967294-i, 1), dir(fmt.Sprintf("d%d", id)).owned(0o755, 7*i, id, 1),
			soft(fmt.Sprintf("s%d", id), "x").owned(0o777, id, id, 1))
	}
	for _, n := range []int64{0, 1, 255, 256, 4095} {
		for _, m := range []int64{0, 1, 255, 256, 65535, 65536, 1048575} {
			devices = append(devices, device(fmt.Sprintf("c%d-%d", n, m), tar.TypeChar, n, m), device(fmt.Sprintf("b%d-%d", n, m), tar.TypeBlock, n, m))
		}
	}
	// What every file system that umoci may write to holds; others are promised.
	far := promised{}
	for _, s := range []int64{math.MinInt32, -1 << 20, -1, 0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 33} {
		times = append(times, file(fmt.Sprintf("f%d", s), "").at(s, 0), dir(fmt.Sprintf("d%d", s)).at(s, 0), soft(fmt.Sprintf("s%d", s), "x").at(s, 0))
	}
	var farTimes []entry
	for _, s := range []int64{-62135596801, -11644473600, -1<<31 - 1, 3<<32 - 1<<31 - 1, 3<<32 - 1<<31, 1 << 34, 32503680000, 253402300799, 1 << 40} {
		name := fmt.Sprint("f", s)
		farTimes = append(farTimes, file(name, "").at(s, 0))
		far[name] = emptyFile(name, s, "")
	}
	const noClock = "the file system that it writes to does not hold such times, and umoci counts nanoseconds, to 2262"
	one := func(entries []entry) stack { return stack{slices.Concat([]entry{root}, entries)} }
	return []layerCase{
		{name: "modes", why: "0000 to 7777, of every type", layers: one(modes)},
		{name: "owners", why: "32 bits; the largest is 4294967294, as 4294967295 is no owner to Linux", layers: one(owners)},
		{name: "devices", why: "Linux has 12 bits of major and 20 of minor", layers: one(devices)},
		{name: "times", why: "before 1970, after 2038, and after 2106, where 32 bits end", layers: one(times)},
		{name: "far times", why: "from the year 0 to 36812; formats have the nearest that they hold", layers: one(farTimes), promised: far,
			umoci: noClock, means: one(farTimes), peers: map[string]string{"tar": noClock, "bsdtar": noClock}},
	}
}

func nameCases() []layerCase {
	var bytes, targets []entry
	var all strings.Builder
	for b := 1; b < 256; b++ {
		if b != '/' {
			all.WriteByte(byte(b))
			bytes = append(bytes, file("one/"+string([]byte{'x', byte(b)}), ""))
		}
	}
	for _, n := range []int{1, 59, 60, 61, 99, 100, 101, 255, 256, 1023, 1024, 4094, 4095} {
		targets = append(targets, soft(fmt.Sprint(n), strings.Repeat("t", n)))
	}
	for i, target := range []string{"/", "//x", "./", "../..", "a//b/", "/../../etc", " ", "\xff\xfe", "new\nline", ".wh.x", "with trailing/"} {
		targets = append(targets, soft(fmt.Sprint("target", i), target))
	}
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("deeper/", 120)
	var deepDirs []entry
	for i := 7; i < len(deep); i += 7 {
		deepDirs = append(deepDirs, dir(deep[:i-1]))
	}
	return []layerCase{
		{name: "names of all bytes", why: "a name is any bytes but NUL and /", layers: stack{
			append([]entry{root, dir("one"), file(all.String(), "all of them")}, append(bytes, dir("one"))...),
		}, peers: map[string]string{"bsdtar": notUTF8}},
		{name: "names of 255 bytes", why: "the longest name, of every type", layers: stack{{
			root, dir(long), file(long+"/"+long, "1"), soft(long+"/s"+long[1:], long), hard(long+"/h"+long[1:], long+"/"+long), dir(long + "/d" + long[1:]),
			fifo(long + "/p" + long[1:]), file(strings.Repeat("é", 127), "2"), file(strings.Repeat("\xff", 255), "3"), dir(long),
		}}, peers: map[string]string{"bsdtar": notUTF8}},
		{name: "names that look alike", why: "names are bytes: case, composition and spaces count", layers: stack{{
			root, file("a", "1"), file("A", "2"), file("\u00e9", "3"), file("e\u0301", "4"), file("a ", "5"), file(" a", "6"), file("a.", "7"), file("..a", "8"), file("...", "9"),
		}}, peers: map[string]string{"bsdtar": "it composes names in PAX records"}},
		{name: "deep folders", why: "120 above one another", layers: stack{append(append([]entry{root}, deepDirs...), file(deep+"bottom", "here"))},
			promised: promised{deep[:len(deep)-1]: impliedDir, deep[:len(deep)-8]: "040755 0:0 1600000000"}},
		{name: "targets of symlinks", why: "up to 4095 bytes, kept as they are, in the inode or beyond", layers: stack{append([]entry{root}, targets...)},
			peers: map[string]string{"bsdtar": notUTF8}},
		{name: "order of names", why: "folders are sorted by bytes, whatever the layer's order", layers: stack{{
			root, file("b", ""), file("a-b", ""), dir("a"), file("a/c", ""), file("a.b", ""), file("\xff", ""), file("B", ""), file("a0", ""), dir("a"),
		}}, peers: map[string]string{"bsdtar": notUTF8}},
	}
}

func xattrCases() []layerCase {
	const noPlace = "its file system need not hold so much"
	acl := imagetest.ACL(1, 6, 0, 2, 7, 1, 2, 0, 2, 4, 4, 0, 8, 7, 70000, 16, 7, 0, 32, 4, 0)
	many := file("many", "")
	for i := range 60 {
		many = many.with(fmt.Sprintf("user.number%02d", i), fmt.Sprint(i))
	}
	large := file("large", "").with("user.large", imagetest.Noise(1, 20_000))
	rootid := "\x01\x00\x00\x03\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe8\x03\x00\x00"
	return []layerCase{
		{name: "xattrs of every namespace", why: "user, trusted, security and system are all that Linux has", layers: stack{{
			root.with("user.root", "r"),
			file("f", "").with("user.a", "1").with("trusted.a", "2").with("security.a", "3").with("system.posix_acl_access", acl).owned(0o674, 0, 0, 1),
			dir("d").with("user.a", "1").with("trusted.a", "2").with("security.a", "3").with("system.posix_acl_default", acl).owned(0o750, 0, 0, 1),
			file("capability", "").with("security.capability", capability).owned(0o755, 0, 0, 1),
			file("capability of a namespace", "").with("security.capability", rootid),
		}}, peers: map[string]string{"bsdtar": "it takes no ACLs as xattrs"}},
		{name: "xattrs of SELinux", why: "labels are of the machine that wrote them; the layer has them, and so does the image",
			layers: stack{{root, file("f", "").with("security.selinux", "label\x00")}}, umoci: "umoci leaves them out", means: stack{{root, file("f", "")}},
			promised: promised{"f": emptyFile("f", 1600000000, "security.selinux=6c6162656c00")}},
		{name: "xattrs of every type", why: "user is for files and folders, the others for all", layers: stack{{
			root, soft("s", "x").with("trusted.a", "1").with("security.a", "2"), fifo("p").with("trusted.a", "1").with("security.a", "2"),
			device("c", tar.TypeChar, 1, 3).with("trusted.a", "1").with("security.a", "2"), device("b", tar.TypeBlock, 8, 0).with("trusted.a", "1"),
			dir("d").with("user.a", "1"), file("f", "").with("user.a", "1"), hard("h", "f"),
		}}},
		{name: "xattr values", why: "empty, binary, and large ones that files share", layers: stack{{
			root, file("binary", "").with("user.a", "\x00\xff\n=").with("user.b", "\x00"),
			file("large1", "").with("user.a", strings.Repeat("long", 500)), file("large2", "").with("user.a", strings.Repeat("long", 500)),
			file("long name", "").with("user."+strings.Repeat("n", 250), "1"), many,
		}}},
		{name: "xattrs of overlayfs", why: "an image of a container's machine has them; the kernel shows them as they are", layers: stack{{
			root, dir("d").with("trusted.overlay.opaque", "y"), file("f", "").with("trusted.overlay.origin", "x").with("user.overlay.origin", "x"),
		}}, umoci: "umoci leaves trusted.overlay out", means: stack{{root, dir("d"), file("f", "")}}, promised: promised{
			"d": "040755 0:0 1600000000  trusted.overlay.opaque=79", "f": emptyFile("f", 1600000000, "trusted.overlay.origin=78 user.overlay.origin=78"),
		}},
		{name: "xattr of twenty kilobytes", why: "more than ext4 holds, which is 4 KiB a file; Linux holds 64 KiB", layers: stack{{root, large}},
			umoci: noPlace, means: stack{{root, file("large", "")}},
			promised: promised{"large": emptyFile("large", 1600000000, fmt.Sprintf("user.large=%x", imagetest.Noise(1, 20_000)))},
			peers:    map[string]string{"tar": noPlace, "bsdtar": noPlace, "unsquashfs": noPlace}, limit: map[string]string{"ext4": "large"}},
	}
}

func contentCases() []layerCase {
	files := []entry{root}
	for _, size := range []int{0, 1, 4095, 4096, 4097, 65536, 131071, 131072, 131073, 262144, 1 << 20, 1<<20 + 1} {
		files = append(files, file(fmt.Sprint("text", size), text(size)), file(fmt.Sprint("noise", size), imagetest.Noise(size, size)),
			file(fmt.Sprint("zeros", size), strings.Repeat("\x00", size)))
	}
	return []layerCase{
		{name: "sizes", why: "at the borders of blocks, tails and fragments", layers: stack{files}},
	}
}

// storedCases are of layer.md's media types: the same layer, stored in every way.
func storedCases() []layerCase {
	s := stack{{root, file("a", text(200_000)), dir("d"), file("d/b", "1")}, {file("d/c", imagetest.Noise(1, 70_000)), file(".wh.a", ""), root, dir("d")}}
	list := []layerCase{
		{name: "stored as tar", why: `layer.md, "+gzip Media Types" and the others: with no compressor`, stored: layers.None},
		{name: "stored as gzip", why: "one member", stored: layers.Gzip},
		{name: "stored as gzip of several members", why: "RFC 1952, 2.2: members follow each other", stored: layers.GzipMembers},
		{name: "stored as zstd", why: "one frame", stored: layers.Zstd},
		{name: "stored as zstd of several frames", why: "RFC 8878, 3: frames follow each other, skippable ones among them", stored: layers.ZstdFrames},
	}
	for i := range list {
		list[i].layers = s
	}
	return list
}
