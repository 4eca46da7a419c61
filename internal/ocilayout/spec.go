package ocilayout

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Media types of the OCI image specification 1.1 (media-types.md) and of Docker's image manifest version 2, schema 2.
const (
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIConfig      = "application/vnd.oci.image.config.v1+json"
	typeOCILayer       = "application/vnd.oci.image.layer.v1.tar"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1+"
)

var (
	indexTypes    = []string{typeOCIIndex, typeDockerList}
	manifestTypes = []string{typeOCIManifest, typeDockerManifest}
	configTypes   = []string{typeOCIConfig, typeDockerConfig}
	layerTypes    = []string{
		typeOCILayer, typeOCILayer + "+gzip", typeOCILayer + "+zstd",
		typeDockerLayer, typeDockerLayer + ".gzip", typeDockerLayer + ".zstd",
	}
	foreignTypes = []string{
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	}
)

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls"`
	Annotations  map[string]string `json:"annotations"`
	Platform     *platform         `json:"platform"`
	ArtifactType string            `json:"artifactType"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// checkKind compares what a document says of itself with the media type it is referred to by ("" for index.json), so
// that no document is taken for one thing here and for another elsewhere.
func checkKind(schemaVersion int, mediaType, as string) error {
	switch {
	case schemaVersion == 1 || strings.HasPrefix(mediaType, typeSchema1):
		return errSchema1
	case schemaVersion != 2:
		return fmt.Errorf("has schemaVersion %d, not 2", schemaVersion)
	case mediaType != "" && as != "" && mediaType != as:
		return fmt.Errorf("says its media type is %q, but is referred to as %q", mediaType, as)
	}
	return nil
}

var errSchema1 = errors.New("is a Docker schema 1 image, whose layers have no reliable digests; " +
	"convert it, for example with skopeo copy --format oci")

// typeError says that a media type is unknown and which are known.
func typeError(got string, accepted []string) error {
	if strings.HasPrefix(got, typeSchema1) {
		return errSchema1
	}
	return fmt.Errorf("has the unknown media type %q; accepted are %s", got, strings.Join(accepted, ", "))
}

// image tells whether d can be an image: attestations (BuildKit) and other artifacts ride along in the same index.
func (d descriptor) image() bool {
	// go-containerregistry gives images a type, too: that of their config.
	if d.ArtifactType != "" && !slices.Contains(configTypes, d.ArtifactType) {
		return false
	}
	if d.Annotations["vnd.docker.reference.type"] != "" {
		return false
	}
	return d.Platform == nil || d.Platform.OS != "unknown" || d.Platform.Architecture != "unknown"
}

// hexDigest returns the hex part of a digest "sha256:<64 lower-case hex digits>".
func hexDigest(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return "", fmt.Errorf("digest %q is not a sha256 digest, the only kind accepted", digest)
	}
	if !isHexSHA256(h) {
		return "", fmt.Errorf("digest %q is not sha256: and 64 lower-case hex digits", digest)
	}
	return h, nil
}

func isHexSHA256(s string) bool {
	_, err := hex.DecodeString(s)
	return len(s) == 64 && err == nil && strings.ToLower(s) == s
}

// platform is where an image runs; an empty field is unknown, or any when asked for.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func parsePlatform(s string) (platform, error) {
	if s == "" {
		return platform{}, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return platform{}, fmt.Errorf("platform %q is not os/architecture or os/architecture/variant", s)
	}
	p := platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func (p platform) String() string {
	switch {
	case !p.known():
		return "unknown platform"
	case p.Variant != "":
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

func (p platform) known() bool { return p.OS != "" && p.Architecture != "" }

// variant is the variant, or the one that stands for when it is left out (containerd's rule).
func (p platform) variant() string {
	switch {
	case p.Variant != "":
		return p.Variant
	case p.Architecture == "arm64":
		return "v8"
	case p.Architecture == "arm":
		return "v7"
	}
	return ""
}

// serves tells whether an image for p does where want is asked for.
func (p platform) serves(want platform) bool {
	if want.OS == "" {
		return true
	}
	if p.OS != want.OS || p.Architecture != want.Architecture {
		return false
	}
	return want.Variant == "" || p.variant() == want.variant()
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
