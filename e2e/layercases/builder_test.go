package layercases

import (
	"archive/tar"
	"io"
	"strings"
	"time"

	"github.com/fledge-build/fledge/e2e/layers"
)

// entry is one tar entry of a hand-made layer.
type entry struct {
	tar.Header
	data   string
	sparse []layers.Segment
	raw    []byte // in place of all the rest: blocks as they are
}

func header(name string, typeflag byte, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: typeflag, Mode: mode, ModTime: time.Unix(1600000000, 0)}
}

func file(name, data string) entry {
	return entry{Header: header(name, tar.TypeReg, 0o644), data: data}
}
func dir(name string) entry  { return entry{Header: header(name+"/", tar.TypeDir, 0o755)} }
func fifo(name string) entry { return entry{Header: header(name, tar.TypeFifo, 0o622)} }

func link(typeflag byte, name, target string) entry {
	e := entry{Header: header(name, typeflag, 0o777)}
	e.Linkname = target
	return e
}

func hard(name, target string) entry { return link(tar.TypeLink, name, target) }
func soft(name, target string) entry { return link(tar.TypeSymlink, name, target) }

func device(name string, typeflag byte, major, minor int64) entry {
	e := entry{Header: header(name, typeflag, 0o600)}
	e.Devmajor, e.Devminor = major, minor
	return e
}

func (e entry) owned(mode int64, uid, gid int, seconds int64) entry {
	e.Mode, e.Uid, e.Gid, e.ModTime = mode, uid, gid, time.Unix(seconds, 0)
	return e
}

func (e entry) at(seconds, nanoseconds int64) entry {
	e.ModTime = time.Unix(seconds, nanoseconds)
	return e
}

func (e entry) named(user, group string) entry {
	e.Uname, e.Gname = user, group
	return e
}

func (e entry) with(xattr, value string) entry { return e.record("SCHILY.xattr."+xattr, value) }

func (e entry) record(key, value string) entry {
	records := map[string]string{key: value}
	for k, v := range e.PAXRecords {
		records[k] = v
	}
	e.PAXRecords = records
	return e
}

// holes makes the file a sparse one. As GNU tar does, an empty segment ends one that ends in a hole.
func (e entry) holes(size int64, segments ...layers.Segment) entry {
	if n := len(segments); n == 0 || segments[n-1].Offset+int64(len(segments[n-1].Data)) < size {
		segments = append(segments, layers.Segment{Offset: size})
	}
	e.Size, e.sparse = size, segments
	return e
}

// raw is an entry with a header by hand.
func raw(h layers.Raw, data string) entry {
	if h.Mode == "" {
		h.Mode = layers.Octal(0o644, 8)
	}
	if h.ModTime == "" {
		h.ModTime = layers.Octal(1600000000, 12)
	}
	return entry{raw: h.Entry(data)}
}

// rawDir is the header of a folder.
func rawDir(name string) layers.Raw {
	return layers.Raw{Name: name, Type: tar.TypeDir, Mode: layers.Octal(0o751, 8), ModTime: layers.Octal(1500000000, 12)}
}

// pax is the extended header of the entry behind it; records are pairs of key and value, in this order.
func pax(records ...string) entry { return extended(tar.TypeXHeader, records...) }

// global is the extended header of all that follows.
func global(records ...string) entry { return extended(tar.TypeXGlobalHeader, records...) }

func extended(typeflag byte, records ...string) entry {
	var b strings.Builder
	for i := 0; i < len(records); i += 2 {
		b.WriteString(layers.Record(records[i], records[i+1]))
	}
	return raw(layers.Raw{Name: "PaxHeaders/x", Type: typeflag}, b.String())
}

// longName and longLink are GNU's: the name, or the target, of the entry behind it.
func longName(name string) entry {
	return raw(layers.Raw{Name: "././@LongLink", Type: tar.TypeGNULongName, Magic: layers.GNU}, name+"\x00")
}

func longLink(target string) entry {
	return raw(layers.Raw{Name: "././@LongLink", Type: tar.TypeGNULongLink, Magic: layers.GNU}, target+"\x00")
}

// text is content of some blocks that compresses.
func text(size int) string {
	return strings.Repeat("the same line again and again\n", size/30+1)[:size]
}

// stack is a list of layers, base first.
type stack [][]entry

func (s stack) layers() []layers.Layer {
	var out []layers.Layer
	for _, entries := range s {
		out = append(out, func(w *layers.Writer) error {
			for _, e := range entries {
				if err := e.write(w); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return out
}

func (e entry) write(w *layers.Writer) error {
	h := e.Header
	switch {
	case e.raw != nil:
		return w.AddRaw(e.raw)
	case h.Size > 0:
		return w.AddSparse(&h, e.sparse)
	}
	h.Size = int64(len(e.data))
	return w.Add(&h, io.Reader(strings.NewReader(e.data)))
}

// root is in every base layer: without it the root folder has the time of the unpacking.
var root = dir(".").owned(0o751, 3, 4, 1500000000)

// capability is cap_net_bind_service=ep (linux/capability.h, struct vfs_cap_data, revision 2).
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
