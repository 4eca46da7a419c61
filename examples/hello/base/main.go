// Command base writes a small base image as an OCI archive (image-spec, image-layout.md): users, groups and the folders
// that programs expect, for static binaries. It stands for whatever base image a project has.
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// entries are the layer's: folders end with a slash, links have a target.
var entries = []struct {
	name string
	mode int64
	link string
	data string
}{
	{name: "etc/", mode: 0o755},
	{name: "etc/group", mode: 0o644, data: "root:x:0:\nnobody:x:65534:\n"},
	{name: "etc/hosts", mode: 0o644, data: "127.0.0.1 localhost\n::1 localhost\n"},
	{name: "etc/os-release", mode: 0o644, data: "NAME=\"Fledge example base\"\nID=fledge-example\n"},
	{name: "etc/passwd", mode: 0o644, data: "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"},
	{name: "root/", mode: 0o700},
	{name: "run/", mode: 0o755},
	{name: "tmp/", mode: 0o1777},
	{name: "usr/", mode: 0o755},
	{name: "usr/bin/", mode: 0o755},
	{name: "usr/sbin/", mode: 0o755},
	{name: "var/", mode: 0o755},
	{name: "bin", mode: 0o777, link: "usr/bin"},
	{name: "sbin", mode: 0o777, link: "usr/sbin"},
	{name: "var/run", mode: 0o777, link: "/run"},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: base ARCHITECTURE OUTPUT.tar")
		os.Exit(2)
	}
	f, err := os.Create(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := writeArchive(f, os.Args[1]); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

// writeArchive writes the image for linux/ARCHITECTURE: one uncompressed layer, config, manifest and index.
func writeArchive(w io.Writer, architecture string) error {
	layer, err := layer()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	layerDescriptor, err := blob(tw, typeLayer, layer)
	if err != nil {
		return err
	}
	config, err := blob(tw, typeConfig, mustJSON(map[string]any{
		"architecture": architecture,
		"os":           "linux",
		"config": map[string]any{
			"Env":          []string{"PATH=/usr/bin:/usr/sbin"},
			"ExposedPorts": map[string]any{"8080/tcp": struct{}{}},
			"WorkingDir":   "/tmp",
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{layerDescriptor["digest"]}},
	}))
	if err != nil {
		return err
	}
	manifest, err := blob(tw, typeManifest, mustJSON(map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []any{layerDescriptor},
	}))
	if err != nil {
		return err
	}
	index := mustJSON(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{manifest}})
	if err := file(tw, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := file(tw, "index.json", index); err != nil {
		return err
	}
	return tw.Close()
}

func layer() ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Linkname: e.link, Size: int64(len(e.data)), ModTime: time.Unix(0, 0)}
		switch {
		case e.link != "":
			h.Typeflag = tar.TypeSymlink
		case e.name[len(e.name)-1] == '/':
			h.Typeflag = tar.TypeDir
		default:
			h.Typeflag = tar.TypeReg
		}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, e.data); err != nil {
			return nil, err
		}
	}
	err := tw.Close()
	return buf.Bytes(), err
}

// blob stores data under its digest and gives its descriptor.
func blob(tw *tar.Writer, mediaType string, data []byte) (map[string]any, error) {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	return map[string]any{"mediaType": mediaType, "digest": "sha256:" + sum, "size": len(data)},
		file(tw, "blobs/sha256/"+sum, data)
}

func file(tw *tar.Writer, name string, data []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(0, 0)}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err := tw.Write(data)
	return err
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the values are literals
	}
	return data
}
