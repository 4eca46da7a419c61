package inspect

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/origin"
)

// JSONVersion is the version of the form of JSON; keys may be added without a new one.
const JSONVersion = 1

// jsonImage is the beginning of the form. The entries and totals follow.
type jsonImage struct {
	Version int    `json:"version"`
	Image   string `json:"image"` // name of the file
	*artifact.Info
	Digest       string             `json:"digest"`
	ManifestFile string             `json:"manifest_file,omitempty"`
	Manifest     *manifest.Manifest `json:"manifest"`
	Matches      *bool              `json:"manifest_matches"` // the digest is that of the manifest; null without one
	*origin.Report
}

// jsonEntry is an entry. Of names that are not UTF-8, the plain field has U+FFFD in place of what is wrong, and the
// field with _base64 all of the bytes.
type jsonEntry struct {
	Path        string      `json:"path"`
	PathBytes   []byte      `json:"path_base64,omitempty"`
	Type        string      `json:"type"`
	Mode        string      `json:"mode"` // four octal digits
	UID         uint32      `json:"uid"`
	GID         uint32      `json:"gid"`
	MTime       int64       `json:"mtime"`
	Links       uint32      `json:"nlink"`
	Inode       uint64      `json:"inode"`
	Size        *int64      `json:"size,omitempty"`
	Stored      *int64      `json:"stored,omitempty"`
	SHA256      string      `json:"sha256,omitempty"`
	Target      string      `json:"target,omitempty"`
	TargetBytes []byte      `json:"target_base64,omitempty"`
	Major       *uint32     `json:"major,omitempty"`
	Minor       *uint32     `json:"minor,omitempty"`
	Segment     *int        `json:"segment,omitempty"`
	Layer       *int        `json:"layer,omitempty"` // index in the layers of the source
	Xattrs      []jsonXattr `json:"xattrs,omitempty"`
}

type jsonXattr struct {
	Name      string `json:"name"`
	NameBytes []byte `json:"name_base64,omitempty"`
	Value     []byte `json:"value_base64"`
}

// JSONText gives a name as JSON can hold it, and its bytes when that is not all of it.
func JSONText(name string) (string, []byte) {
	if utf8.ValidString(name) {
		return name, nil
	}
	return name, []byte(name) // the encoder puts U+FFFD in place of what is no UTF-8
}

// JSONOptions say what JSON has.
type JSONOptions struct {
	Path    string
	Digests bool           // files have the SHA-256 of their contents, for which all have to be read
	Origin  *origin.Report // what came from which layer; nil is not known, and else Path is "."
}

// JSON writes the image and the entries at a path and below it, an entry a line. Entries and totals are null when the
// files of the image are not listed.
func JSON(w io.Writer, im *imagefile.Image, o JSONOptions) error {
	head, err := jsonHead(im, o.Origin)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<16)
	out.Write(head[:len(head)-1])
	if err := jsonEntries(out, im, o); errors.Is(err, artifact.ErrUnlisted) && o.Path == "." {
		out.WriteString(`,"entries":null,"totals":null}` + "\n")
	} else if err != nil {
		return err
	}
	return out.Flush()
}

func jsonEntries(out *bufio.Writer, im *imagefile.Image, o JSONOptions) error {
	s, n := newSummarizer(im, o.Path, 0), 0
	for e, err := range im.Walk(o.Path) {
		if err != nil {
			return err
		}
		j, err := entryOf(im, e, o.Digests)
		if err != nil {
			return err
		}
		if o.Origin != nil {
			layer := o.Origin.LayerOf(n)
			j.Layer = &layer
		}
		n++
		line, err := json.Marshal(j)
		if err != nil {
			return err
		}
		if s.empty() {
			out.WriteString(`,"entries":[`)
		} else {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		out.Write(line)
		s.add(e)
	}
	if s.empty() {
		out.WriteString(`,"entries":[`)
	}
	totals, err := json.Marshal(s.s.Totals)
	fmt.Fprintf(out, "\n],\"totals\":%s}\n", totals)
	return err
}

func jsonHead(im *imagefile.Image, from *origin.Report) ([]byte, error) {
	head := jsonImage{Version: JSONVersion, Image: im.Name, Info: im.Info(), Report: from}
	var err error
	if head.Digest, err = im.FileDigest(); err != nil {
		return nil, err
	}
	if m := im.Manifest; m != nil {
		head.ManifestFile, head.Manifest = m.Name, m.Manifest
		if m.Checksum != "" {
			matches := m.Checksum == head.Digest
			head.Matches = &matches
		}
	}
	return json.Marshal(head)
}

func entryOf(a artifact.Artifact, e *artifact.Entry, digests bool) (*jsonEntry, error) {
	j := &jsonEntry{
		Type: e.TypeName(), Mode: fmt.Sprintf("%04o", e.Mode), UID: e.UID, GID: e.GID, MTime: e.ModTime,
		Links: e.Links, Inode: e.Inode,
	}
	j.Path, j.PathBytes = JSONText(e.Path)
	j.Target, j.TargetBytes = JSONText(e.Target)
	for _, x := range e.Xattrs {
		name, raw := JSONText(x.Name)
		j.Xattrs = append(j.Xattrs, jsonXattr{name, raw, append([]byte{}, x.Value...)})
	}
	if e.IsDevice() {
		j.Major, j.Minor = &e.Major, &e.Minor
	}
	if a.Info().Kind == artifact.CPIO {
		j.Segment = &e.Segment
	}
	if e.Type == fstree.Regular {
		j.Size, j.Stored = &e.Size, &e.Stored
		if digests {
			sum, err := a.Digest(e)
			if err != nil {
				return nil, err
			}
			j.SHA256 = fmt.Sprintf("%x", sum)
		}
	}
	return j, nil
}
