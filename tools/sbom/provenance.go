package main

import (
	"context"
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/provenance"
)

func runProvenance(ctx context.Context, args []string, stderr io.Writer) error {
	f := newFlags("provenance")
	manifest := f.String("manifest", "", "`file` of the image's manifest.json")
	parameters := f.String("parameters", "{}", "what was asked for, a JSON `object`")
	builder := f.String("builder", "", "`URI` that names who builds")
	if err := f.parse(args, stderr); err != nil {
		return err
	}
	if err := checkParameters(*parameters, *builder); err != nil {
		return err
	}
	subjects, err := subjects(f, *manifest)
	if err != nil {
		return err
	}
	parts, err := readParts(f.parts)
	if err != nil {
		return err
	}
	dependencies, err := materials(ctx, parts)
	if err != nil {
		return err
	}
	statement := provenance.New(subjects, json.RawMessage(*parameters), dependencies, *builder)
	return cli.WriteBuffered(f.out, statement.Write)
}

func checkParameters(parameters, builder string) error {
	var object map[string]any
	if err := json.Unmarshal([]byte(parameters), &object); err != nil || object == nil {
		return cli.Usagef("--parameters %q: give a JSON object", parameters)
	}
	if builder == "" {
		return nil
	}
	if uri, err := url.Parse(builder); err != nil || !uri.IsAbs() {
		return cli.Usagef("--builder %q: give a URI, such as https://ci.example.com/builders/1", builder)
	}
	return nil
}

// subjects are what was built: image, boot initramfs and manifest.
func subjects(f *imageFlags, manifest string) ([]provenance.Descriptor, error) {
	image, err := f.image()
	if err != nil {
		return nil, err
	}
	all := []provenance.Descriptor{{Name: image.Name, Digest: provenance.Digest{"sha256": image.SHA256}}}
	if image.Boot != nil {
		all = append(all, provenance.Descriptor{Name: image.Boot.Name, Digest: provenance.Digest{"sha256": image.Boot.SHA256}})
	}
	if manifest == "" {
		return all, nil
	}
	digest, err := hashFile(manifest)
	return append(all, provenance.Descriptor{Name: filepath.Base(manifest), Digest: provenance.Digest{"sha256": digest}}), err
}
