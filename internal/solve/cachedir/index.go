package cachedir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Limits of what is read.
const (
	maxManifest = 4 << 20 // bytes
	maxIndex    = 16 << 20
	maxBlobs    = 1 << 16 // of one manifest
)

// familyAnnotation is an entry's family in the index.
const familyAnnotation = "build.fledge.cache.family"

// partialAnnotation is "true" where a solve failed.
const partialAnnotation = "build.fledge.cache.partial"

// entry is a cache in the index.
type entry struct {
	family, key string
	manifest    string // digest
	size        int64  // of the manifest
	partial     bool   // it is of a solve that failed
}

// readIndex gives the caches, the one used last first. The lock is held. A damaged index is an empty one.
func (d *Dir) readIndex() ([]entry, error) {
	b, err := readSmall(d.index(), maxIndex)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := decodeIndex(b)
	if err != nil {
		return nil, fmt.Errorf("its index.json is damaged: %w", err)
	}
	return list, nil
}

func decodeIndex(b []byte) (list []entry, err error) {
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, err
	}
	for _, m := range index.Manifests {
		if !wire.IsDigest(m.Digest.String()) || m.Size <= 0 || m.Size > maxManifest {
			return nil, fmt.Errorf("manifest %q of %d bytes", m.Digest, m.Size)
		}
		list = append(list, entry{
			family: m.Annotations[familyAnnotation], key: m.Annotations[ocispec.AnnotationRefName],
			manifest: m.Digest.String(), size: m.Size, partial: m.Annotations[partialAnnotation] == "true",
		})
	}
	return list, nil
}

func encodeIndex(list []entry) ([]byte, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{}, // never null
	}
	for _, e := range list {
		annotations := map[string]string{ocispec.AnnotationRefName: e.key, familyAnnotation: e.family}
		if e.partial {
			annotations[partialAnnotation] = "true"
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(e.manifest), Size: e.size, Annotations: annotations,
		})
	}
	return json.Marshal(index)
}

// writeIndex is called under the lock.
func (d *Dir) writeIndex(list []entry) error {
	b, err := encodeIndex(list)
	if err != nil {
		return err
	}
	return replace(d.index(), b)
}

// blobsOf gives the digests of all that a cache needs, its manifest first, each once.
func blobsOf(manifest []byte) ([]string, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	if len(m.Layers) > maxBlobs {
		return nil, fmt.Errorf("%d layers", len(m.Layers))
	}
	list := []string{digest.FromBytes(manifest).String()}
	seen := map[digest.Digest]bool{}
	for _, b := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if !wire.IsDigest(b.Digest.String()) {
			return nil, fmt.Errorf("digest %q", b.Digest)
		}
		if !seen[b.Digest] {
			seen[b.Digest] = true
			list = append(list, b.Digest.String())
		}
	}
	return list, nil
}

// readManifest reads a manifest from a file, and gives the digests of all that it needs, its own first.
func readManifest(file, want string) ([]string, error) {
	b, err := readSmall(file, maxManifest)
	if err != nil {
		return nil, err
	}
	list, err := blobsOf(b)
	if err != nil {
		return nil, err
	}
	if list[0] != want {
		return nil, fmt.Errorf("its digest is %s", list[0])
	}
	return list, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(file string, limit int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", file, limit)
	}
	return os.ReadFile(file)
}
