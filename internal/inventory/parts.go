package inventory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Kinds of parts.
const (
	KindLayer    = "layer"    // a layer's tar, plain or compressed
	KindLayout   = "layout"   // an image: an OCI layout or archive, or an archive of docker save
	KindAgent    = "agent"    // the file of the agent
	KindBusybox  = "busybox"  // a busybox, which counts only when the layers have none
	KindInit     = "init"     // the program that runs first
	KindMapping  = "mapping"  // a file or a folder of files
	KindMaterial = "material" // what the artifact is made of and what is not a file of it as it stands: a kernel, a manifest.toml
	kindUnknown  = "one of these kinds: layer, layout, agent, busybox, init, mapping, material"
)

// Part is one thing that an artifact is made of.
type Part struct {
	Kind  string `json:"kind"`
	Src   string `json:"src"`   // path of the file or folder
	Label string `json:"label"` // what names it for people, whatever the machine: a Bazel label
	// Dest is the absolute path in the artifact's file tree. "" is a file beside that: the init of a boot initramfs.
	Dest      string `json:"dest"`
	Digest    string `json:"digest"`     // of a layer: sha256:HEX, checked; "" when it is not known yet
	MediaType string `json:"media_type"` // of a layer: "" for what its first bytes tell
	Platform  string `json:"platform"`   // of a layout: "linux/amd64", which chooses from several images
}

// ReadParts reads a list of parts, in the order that an image is put together: a JSON object a line. An error begins with
// the number of the line.
func ReadParts(r io.Reader) (parts []Part, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		part, err := readPart(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		parts = append(parts, part)
	}
	return parts, lines.Err()
}

func readPart(line []byte) (p Part, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, err
	}
	if d.More() {
		return p, errors.New("more than one object")
	}
	if p.Src == "" {
		return p, errors.New(`give "src"`)
	}
	switch p.Kind {
	case KindLayer, KindLayout, KindMaterial:
	case KindAgent, KindBusybox, KindInit, KindMapping:
		if p.Dest != "" && p.Dest[0] != '/' {
			return p, fmt.Errorf("dest %q: give an absolute path", p.Dest)
		}
	default:
		return p, fmt.Errorf("kind %q: give %s", p.Kind, kindUnknown)
	}
	return p, nil
}
