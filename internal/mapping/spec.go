// Package mapping turns single files and folders into a layer: each has a destination in the image, and modes follow
// the destination, since Bazel keeps none.
package mapping

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Mapping is one file or folder and where it goes.
type Mapping struct {
	Src  string // path of the file or folder; symlinks are followed
	Dest string // path in the image, relative to its root, clean; "." is the root
	// Executable tells whether the file, or every file of the folder, is a program. Without it, a file's own x bits do.
	Executable *bool
}

// Spec is what to pack.
type Spec struct {
	Mappings []Mapping
	Modes    map[string]uint16 // permission bits by path as Mapping.Dest has it; they win over the rule
}

// line is one line of a specification: a mapping (src and dest), or the mode of a path.
type line struct {
	Src        string `json:"src"`
	Dest       string `json:"dest"`
	Executable *bool  `json:"executable"`
	Path       string `json:"path"`
	Mode       string `json:"mode"` // octal; with a mapping it is the mode of dest
}

// ReadSpec reads a specification of one JSON object a line: {"src": "out/app", "dest": "/usr/bin/app"}, where
// "executable": true and "mode": "0755" are optional, or {"path": "/srv/secret", "mode": "0600"} for a path that one of
// the mappings makes. An error begins with the number of the line.
func ReadSpec(r io.Reader) (*Spec, error) {
	spec := &Spec{Modes: map[string]uint16{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := spec.add(lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return spec, lines.Err()
}

func (s *Spec) add(text []byte) error {
	var l line
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one object")
	}
	at := l.Path
	switch isMapping := l.Src != "" && l.Dest != ""; {
	case isMapping == (l.Path != ""), l.Path != "" && (l.Src != "" || l.Dest != "" || l.Mode == ""):
		return errors.New(`give "src" and "dest", or "path" and "mode"`)
	case isMapping:
		dest, err := cleanDest(l.Dest)
		if err != nil {
			return fmt.Errorf("%s: destination %q: %w", l.Src, l.Dest, err)
		}
		s.Mappings = append(s.Mappings, Mapping{Src: l.Src, Dest: dest, Executable: l.Executable})
		at = l.Dest
	}
	if l.Mode == "" {
		return nil
	}
	path, err := cleanDest(at)
	if err != nil {
		return fmt.Errorf("mode of %q: %w", at, err)
	}
	mode, err := strconv.ParseUint(l.Mode, 8, 16)
	if err != nil || mode > 0o7777 {
		return fmt.Errorf("mode of %s: %q is not octal like 0644", at, l.Mode)
	}
	if old, ok := s.Modes[path]; ok && old != uint16(mode) {
		return fmt.Errorf("mode of %s: both %04o and %04o", at, old, mode)
	}
	s.Modes[path] = uint16(mode)
	return nil
}

// cleanDest turns an absolute path into one relative to the root.
func cleanDest(dest string) (string, error) {
	rest, ok := strings.CutPrefix(dest, "/")
	if !ok {
		return "", errors.New("give an absolute path, such as /usr/bin/app")
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" {
		return ".", nil
	}
	for part := range strings.SplitSeq(rest, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return "", errors.New("give a path without empty, '.' or '..' elements")
		case strings.HasPrefix(part, ".wh."):
			return "", fmt.Errorf("%q: names with .wh. stand for removed files in a layer", part)
		}
	}
	return rest, nil
}
