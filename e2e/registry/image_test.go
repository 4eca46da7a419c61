package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"

	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// blob is a file of a registry: a layer, a config, a manifest or an index.
type blob struct {
	mediaType string
	data      []byte
}

func (b blob) hex() string {
	sum := sha256.Sum256(b.data)
	return hex.EncodeToString(sum[:])
}

func (b blob) digest() string { return "sha256:" + b.hex() }

func (b blob) descriptor() map[string]any {
	return map[string]any{"mediaType": b.mediaType, "digest": b.digest(), "size": len(b.data)}
}

func jsonBlob(t *testing.T, mediaType string, value any) blob {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return blob{mediaType, data}
}

// image is a manifest and what it names.
type image struct {
	blob
	config blob
	layers []blob
}

func (i image) blobs() []blob { return append([]blob{i.config}, i.layers...) }

// layer makes a layer of one file, its media type by how it is stored.
func layer(t *testing.T, mediaType, content string) blob {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	switch mediaType {
	case ociLayer + "+gzip", dockerLayer:
		return blob{mediaType, gzipped(t, b.Bytes())}
	case ociLayer + "+zstd":
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return blob{mediaType, e.EncodeAll(b.Bytes(), nil)}
	}
	return blob{mediaType, b.Bytes()}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newImage makes an image of the layers in the OCI form, or in Docker's if the layers are.
func newImage(t *testing.T, architecture string, layers ...blob) image {
	t.Helper()
	manifestType, configType := ociManifest, ociConfig
	if layers[0].mediaType == dockerLayer {
		manifestType, configType = dockerManifest, dockerConfig
	}
	digests, descriptors := []string{}, []any{}
	for _, l := range layers {
		digests = append(digests, l.digest())
		descriptors = append(descriptors, l.descriptor())
	}
	config := jsonBlob(t, configType, map[string]any{
		"architecture": architecture,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{"/file"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": digests},
	})
	manifest := jsonBlob(t, manifestType, map[string]any{
		"schemaVersion": 2,
		"mediaType":     manifestType,
		"config":        config.descriptor(),
		"layers":        descriptors,
	})
	return image{manifest, config, layers}
}

// simpleImage makes an image whose blobs no other image has.
func simpleImage(t *testing.T, content string) image {
	t.Helper()
	return newImage(t, "amd64", layer(t, ociLayer+"+gzip", content))
}

// newIndex makes an index of images by architecture, with an attestation first, as BuildKit adds one.
func newIndex(t *testing.T, mediaType string, images map[string]image) blob {
	t.Helper()
	entry := func(b blob, os, architecture string) map[string]any {
		d := b.descriptor()
		d["platform"] = map[string]string{"os": os, "architecture": architecture}
		return d
	}
	entries := []any{entry(images["amd64"].blob, "unknown", "unknown")}
	for _, architecture := range []string{"arm64", "amd64"} {
		entries = append(entries, entry(images[architecture].blob, "linux", architecture))
	}
	return jsonBlob(t, mediaType, map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": entries})
}
