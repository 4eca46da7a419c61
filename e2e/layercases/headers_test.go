package layercases

import (
	"archive/tar"
	"slices"
	"strings"

	"github.com/fledge-build/fledge/e2e/layers"
)

const notUTF8 = "it has no names in PAX records that are not UTF-8"

const unknownRecords = "it does not know these records"

// plain is a raw header of a file.
func plain(name string) layers.Raw { return layers.Raw{Name: name, Type: tar.TypeReg} }

// v7 is a raw header of the oldest format: no magic, and a folder is a file whose name ends in a slash.
func v7(name string, typeflag byte) layers.Raw {
	return layers.Raw{Name: name, Type: typeflag, Magic: layers.NoMagic}
}

// headerCases are of the formats of tar: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), and the manual of GNU tar, "Tar Internals".
func headerCases() []layerCase {
	return slices.Concat(posixCases(), gnuCases(), paxCases)
}

func posixCases() []layerCase {
	long, prefix := strings.Repeat("n", 100), strings.Repeat("p", 155)
	gid := plain("gid")
	gid.GID = "    1750"
	full := plain("no NUL behind numbers")
	full.Mode, full.UID, full.GID, full.ModTime = "00000644", "07777777", "00000017", "014000000000"
	spaces := plain("spaces around numbers")
	spaces.Mode, spaces.UID, spaces.GID, spaces.ModTime = "   644 \x00", "    17 \x00", " 20    \x00", " 1234567     "
	typed := plain("mode with the type")
	typed.Mode = layers.Octal(0o104755, 8)
	named := plain(long)
	named.Rest = prefix
	contiguous := layers.Raw{Name: "contiguous", Type: tar.TypeCont}
	folder := rawDir("folder with a size")
	folder.Size = layers.Octal(1000, 12)
	symlink := layers.Raw{Name: "symlink with a size", Type: tar.TypeSymlink, Link: "target", Size: layers.Octal(6, 12)}
	signed := plain("\xe9\xe8\xff")
	signed.Signed = true
	link := layers.Raw{Name: "link to 100 bytes", Type: tar.TypeSymlink, Link: strings.Repeat("t", 100)}
	device := layers.Raw{Name: "device", Type: tar.TypeBlock, Major: layers.Octal(259, 8), Minor: layers.Octal(0o777777, 8)}
	return []layerCase{
		{
			name: "v7", why: "no magic, and numbers of types that ustar keeps", layers: stack{{
				root, raw(v7("dir/", 0), ""), raw(v7("dir/nul", 0), "x"), raw(v7("dir/zero", '0'), "y"),
				raw(layers.Raw{Name: "hard", Type: '1', Link: "dir/nul", Magic: layers.NoMagic}, ""),
				raw(layers.Raw{Name: "soft", Type: '2', Link: "dir/nul", Magic: layers.NoMagic}, ""),
			}},
		},
		{
			name: "ustar prefix", why: "names of up to 255 bytes in two fields, both without a NUL where they are full",
			layers:   stack{{root, raw(named, "far"), raw(layers.Raw{Name: long, Type: tar.TypeReg}, "near")}},
			promised: promised{prefix: impliedDir, ".": rootAsDescribed},
		},
		{name: "ustar numbers", why: "octal, ended by NUL, by a space, or by the end of the field; spaces before", layers: stack{{
			root, raw(full, ""), raw(spaces, ""), raw(gid, ""), raw(typed, ""), raw(device, ""), raw(link, ""),
		}}},
		{name: "ustar contiguous file", why: "type 7 is a regular file to all but some systems", layers: stack{{root, raw(contiguous, "data")}},
			umoci: "umoci refuses the type", means: stack{{root, file("contiguous", "data")}}},
		{name: "ustar sizes without data", why: "only regular files have data; the size of others is not skipped", layers: stack{{
			root, raw(folder, ""), raw(symlink, ""), file("after", "1"),
		}}},
		{name: "ustar signed checksum", why: "old Sun tar adds up signed bytes; readers take both", layers: stack{{root, raw(signed, "1")}}},
		{
			name: "ustar folder without a slash", why: "the type says that it is one; a slash behind a file's name says nothing",
			layers: stack{{root, raw(rawDir("dir"), ""), file("dir/a", "1"), raw(plain("file/"), "2"), raw(rawDir("dir"), "")}},
			peers:  map[string]string{"tar": "a slash makes a folder", "bsdtar": "a slash makes a folder"},
		},
	}
}

func gnuCases() []layerCase {
	name, target := strings.Repeat("long-", 30)+"name", strings.Repeat("../", 60)+"target"
	gnu := func(r layers.Raw) layers.Raw { r.Magic = layers.GNU; return r }
	big := gnu(plain("base-256"))
	big.UID, big.GID = layers.Base256(4294967294, 8), layers.Base256(1<<31, 8)
	big.ModTime, big.Size = layers.Base256(4102444800, 12), layers.Base256(4, 12)
	old := gnu(plain("before 1970"))
	old.ModTime = layers.Base256(-1000000, 12)
	numbers := gnu(layers.Raw{Name: "device", Type: tar.TypeChar, Major: layers.Base256(4095, 8), Minor: layers.Base256(1048575, 8)})
	atimes := gnu(plain("with atime and ctime"))
	atimes.Rest = layers.Octal(1111111111, 12) + layers.Octal(1222222222, 12)
	return []layerCase{
		{name: "GNU long name", why: "an entry of type L has the name of the next", layers: stack{{
			root, longName("./" + name), raw(gnu(plain(name[:100])), "1"), raw(gnu(plain("short")), "2"),
		}}},
		{name: "GNU long links", why: "an entry of type K has the target of the next", layers: stack{{
			root, longLink(target), raw(gnu(layers.Raw{Name: "soft", Type: tar.TypeSymlink, Link: target[:100]}), ""),
			longName(name), raw(gnu(plain(name[:100])), "1"),
			longLink(name), longName(name + "2"), raw(gnu(layers.Raw{Name: name[:100], Type: tar.TypeLink, Link: name[:100]}), ""),
			longName(name + "3"), longLink(name), raw(gnu(layers.Raw{Name: name[:100], Type: tar.TypeLink, Link: name[:100]}), ""),
		}}},
		{name: "GNU long name of a folder", why: "the slash is in the long name alone", layers: stack{{
			root, longName(name + "/"), raw(gnu(layers.Raw{Name: name[:100], Type: tar.TypeDir, Mode: layers.Octal(0o700, 8)}), ""),
			longName(name + "/" + name), raw(gnu(plain(name[:100])), "1"),
			longName(name + "/"), raw(gnu(layers.Raw{Name: name[:100], Type: tar.TypeDir, Mode: layers.Octal(0o700, 8)}), ""),
		}}},
		{name: "GNU base-256 numbers", why: "numbers that octal cannot hold, negative ones too", layers: stack{{
			root, raw(big, "data"), raw(old, ""), raw(numbers, ""),
		}}},
		{name: "GNU times", why: "atime and ctime lie where ustar has the prefix", layers: stack{{root, raw(atimes, "1")}}},
		{name: "GNU bytes", why: "names are bytes, with no character set", layers: stack{{root, raw(gnu(plain("\xff\x80\n\\")), "1")}}},
	}
}

var paxCases = []layerCase{
	{name: "PAX path and linkpath", why: "records take the place of the fields, of any length", layers: stack{{
		root, pax("path", strings.Repeat("p", 200)), raw(plain("not this"), "1"),
		pax("linkpath", strings.Repeat("p", 200)), raw(layers.Raw{Name: "hard", Type: tar.TypeLink, Link: "nor this"}, ""),
		pax("linkpath", strings.Repeat("../", 500), "path", "soft"), raw(layers.Raw{Name: "no", Type: tar.TypeSymlink, Link: "no"}, ""),
	}}},
	{name: "PAX numbers", why: "size, uid, gid and mtime as records, the fields being 0", layers: stack{{
		root, pax("uid", "4294967294", "gid", "2097152", "mtime", "4294967295"), raw(plain("ids"), ""),
		pax("size", "600"), raw(layers.Raw{Name: "size", Type: tar.TypeReg, Size: layers.Octal(0, 12)}, text(600)), file("after", "1"),
	}}},
	{name: "PAX times with fractions", why: "Fledge keeps whole seconds, rounded down as stat(2) has them",
		layers: stack{{
			root, pax("mtime", "1234567890.987654321"), raw(plain("nanoseconds"), ""), pax("mtime", "1.5"), raw(plain("short"), ""),
			pax("mtime", "-1.25"), raw(plain("negative"), ""), pax("mtime", "-0.5"), raw(plain("just before"), ""),
			pax("mtime", "7."), raw(plain("dot"), ""), pax("mtime", "8.0000000009999"), raw(plain("picoseconds"), ""),
		}},
		peers: map[string]string{"bsdtar": "it takes the fraction of negative times otherwise"}},
	{name: "PAX bytes", why: "pax wants UTF-8; GNU tar and Docker write names as they are, with hdrcharset or without", layers: stack{{
		root, pax("path", "\xff\xfe"), raw(plain("x"), "1"), pax("hdrcharset", "BINARY", "path", "\x80 binary"), raw(plain("y"), "2"),
		pax("linkpath", "\xff"), raw(layers.Raw{Name: "soft", Type: tar.TypeSymlink, Link: "x"}, ""),
	}}, peers: map[string]string{"bsdtar": notUTF8}},
	{name: "PAX record twice", why: "the last counts", layers: stack{{
		root, pax("path", "first", "path", "last", "uid", "1", "uid", "2"), raw(plain("x"), ""),
	}}},
	{name: "PAX empty record", why: "it takes the record away, and the field counts", layers: stack{{
		root, pax("path", "record", "path", ""), raw(plain("field"), ""),
	}}, peers: map[string]string{"tar": "an empty path is one to it"}},
	{name: "PAX records of others", why: "comments, times and fields that no file system has are passed over", layers: stack{{
		root, pax("comment", "any", "atime", "1", "ctime", "2", "LIBARCHIVE.creationtime", "3", "SCHILY.dev", "5", "SCHILY.ino", "6",
			"SCHILY.nlink", "7", "uname", "daemon", "gname", "daemon", "MSWINDOWS.fileattr", "32", "VENDOR.key", "\x00\n"), raw(plain("x"), "1"),
	}}},
	{name: "PAX and GNU long name", why: "a writer may give both; the record counts", layers: stack{{
		root, pax("mtime", "5"), longName("long"), raw(plain("x"), ""),
	}}},
	{name: "PAX global header", why: "git archive puts a comment there; containerd, Docker and umoci apply none of its fields",
		layers: stack{{root, global("comment", "of git"), file("a", "1"), global("uid", "7", "mtime", "8"), raw(plain("b"), "2")}},
		umoci:  "Debian 12's umoci refuses the type", means: stack{{root, file("a", "1"), file("b", "2")}},
		peers: map[string]string{"tar": "it applies them"}},
	{name: "PAX xattrs", why: "SCHILY.xattr records hold name and value as they are", layers: stack{{
		root, pax("SCHILY.xattr.user.equals", "a=b=c", "SCHILY.xattr.user.lines", "1\n2\n", "SCHILY.xattr.user.nul", "\x00\x00",
			"SCHILY.xattr.user.percent%20", "%41", "SCHILY.xattr.user.binary", "\xff\xfe"), raw(plain("x"), ""),
		pax("SCHILY.xattr.user.d", "on a folder"), raw(rawDir("d"), ""),
	}}},
	{name: "PAX xattrs of libarchive", why: "bsdtar writes LIBARCHIVE.xattr, name percent-encoded and value in base64, beside SCHILY.xattr",
		layers: stack{{
			root, pax("LIBARCHIVE.xattr.user.a%3Db", "AAE="), raw(plain("alone"), ""),
			pax("LIBARCHIVE.xattr.user.a", "Mg", "SCHILY.xattr.user.a", "2", "LIBARCHIVE.xattr.user.b", "MQ"), raw(plain("both"), ""),
		}},
		umoci:    "umoci knows SCHILY.xattr alone, which has no names with =",
		means:    stack{{root, file("alone", ""), file("both", "").with("user.a", "2")}},
		promised: promised{"alone": emptyFile("alone", 1600000000, "user.a=b=0001")},
		peers:    map[string]string{"tar": unknownRecords, "bsdtar": "it takes both kinds"}},
	{name: "PAX ACLs as text", why: "SCHILY.acl is what tar --acls writes; no tool of OCI reads it, so Fledge does not",
		layers: stack{{root, pax("SCHILY.acl.access", "user::rw-,user:1:rwx,group::r--,mask::rwx,other::r--"), raw(plain("x"), "")}},
		peers:  map[string]string{"bsdtar": "it applies them; GNU tar with --acls does too"}},
	{name: "PAX header of a megabyte", why: "Go's limit of all records of an entry", layers: stack{{
		root, pax("comment", strings.Repeat("c", 1000_000)), raw(plain("x"), "1"),
	}}, peers: map[string]string{"bsdtar": "its limit is lower"}},
}
