package solve

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// imageLine is one line of a list of base images.
type imageLine struct {
	Refs      []string `json:"refs"`
	Layout    string   `json:"layout"`
	Config    string   `json:"config"`
	Layer     string   `json:"layer"`
	Digest    string   `json:"digest"`
	MediaType string   `json:"media_type"`
}

// ReadImages reads a list of base images, one JSON object a line: {"refs": ["alpine:3.22"], "layout": "DIRECTORY or TAR"}
// for a layout, or {"refs": […], "config": "FILE"}, followed by {"layer": "FILE", "digest": "sha256:…", "media_type": "…"}
// for each layer, base layer first; digest and media_type may be missing. An error begins with the number of the line.
func ReadImages(r io.Reader) (list []BaseImage, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if list, err = addImage(list, lines.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return list, lines.Err()
}

func addImage(list []BaseImage, text []byte) ([]BaseImage, error) {
	var l imageLine
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	switch {
	case d.More():
		return nil, errors.New("more than one object")
	case l.Layer != "":
		last := len(list) - 1
		if len(l.Refs) > 0 || l.Config != "" || l.Layout != "" || last < 0 || list[last].Config == "" {
			return nil, errors.New(`a "layer" follows the line with its image's "refs" and "config"`)
		}
		list[last].Layers = append(list[last].Layers, Layer{l.Layer, l.Digest, l.MediaType})
		return list, nil
	case len(l.Refs) == 0 || (l.Config == "") == (l.Layout == "") || l.Digest+l.MediaType != "":
		return nil, errors.New(`give "refs" and either "layout" or "config", or a "layer"`)
	}
	return append(list, BaseImage{Refs: l.Refs, Layout: l.Layout, Config: l.Config}), nil
}
