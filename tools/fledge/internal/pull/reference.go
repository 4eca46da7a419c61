package pull

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Transports: where an image is, as skopeo's references name it.
const (
	Registry      = "docker"         // docker://[HOST/]REPOSITORY[:TAG][@sha256:HEX]
	Daemon        = "docker-daemon"  // docker-daemon:NAME[:TAG] or docker-daemon:sha256:ID
	Layout        = "oci"            // oci:PATH[:REF], a folder
	Archive       = "oci-archive"    // oci-archive:PATH[:REF], a tar
	DockerArchive = "docker-archive" // docker-archive:PATH[:NAME:TAG], the tar of docker save
)

const known = "docker://IMAGE (or IMAGE alone), docker-daemon:NAME, oci:FOLDER, oci-archive:TAR and docker-archive:TAR"

// Reference names an image and where it is.
type Reference struct {
	Transport string
	Path      string // of a layout or archive, absolute, or relative to the working directory when the recipe is
	Tag       string // of the image in a layout or archive; "": the only one

	text  string          // canonical, without the transport
	named reference.Named // of a registry's or daemon's image; nil for a daemon's ID
}

// ParseReference reads a reference as skopeo has them. An image without a transport is one of a registry, and without a
// registry one of Docker Hub. Relative paths are relative to dir, the recipe's folder.
func ParseReference(s, dir string) (Reference, error) {
	r, err := parseReference(s, dir)
	if err != nil {
		return Reference{}, fmt.Errorf("image %.300q: %w", s, err)
	}
	return r, nil
}

func parseReference(s, dir string) (Reference, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Reference{}, errors.New("a reference has no control characters")
	}
	transport, rest, ok := strings.Cut(s, ":")
	switch {
	case ok && (transport == Layout || transport == Archive || transport == DockerArchive):
		return parsePath(transport, rest, dir)
	case ok && transport == Daemon:
		return parseDaemon(rest)
	case strings.HasPrefix(s, "docker://"):
		return parseRegistry(strings.TrimPrefix(s, "docker://"))
	case strings.Contains(s, "://") || (ok && isTransport(transport)):
		return Reference{}, fmt.Errorf("unknown transport %q; known are %s", transport, known)
	}
	return parseRegistry(s)
}

// isTransport knows skopeo's other transports, which would pass for the name of an image.
func isTransport(name string) bool {
	switch name {
	case Registry, "containers-storage", "dir", "ostree", "sif", "atomic", "tarball":
		return true
	}
	return false
}

// parsePath splits at the first colon, as skopeo does: a path cannot have one.
func parsePath(transport, rest, dir string) (Reference, error) {
	path, tag, _ := strings.Cut(rest, ":")
	if path == "" {
		return Reference{}, fmt.Errorf("no path after %s:", transport)
	}
	r := Reference{Transport: transport, Path: filepath.Clean(path), Tag: tag}
	r.text = filepath.ToSlash(r.Path)
	if tag != "" {
		r.text += ":" + tag
	}
	if !filepath.IsAbs(r.Path) {
		r.Path = filepath.Join(dir, r.Path)
	}
	return r, nil
}

func parseDaemon(rest string) (Reference, error) {
	if hex, ok := strings.CutPrefix(rest, "sha256:"); ok {
		if !isHex(hex) {
			return Reference{}, errors.New("an image's ID is sha256: and 64 lower case hexadecimal digits; " +
				"docker images --no-trunc shows it")
		}
		return Reference{Transport: Daemon, text: rest}, nil
	}
	named, err := parseNamed(rest)
	if err != nil {
		return Reference{}, err
	}
	if reference.FamiliarName(named) == "sha256" {
		return Reference{}, errors.New("an image called sha256 looks like an ID; give its ID, or another name")
	}
	return Reference{Transport: Daemon, text: reference.FamiliarString(named), named: named}, nil
}

func parseRegistry(rest string) (Reference, error) {
	named, err := parseNamed(rest)
	if err != nil {
		return Reference{}, err
	}
	return Reference{Transport: Registry, text: named.String(), named: named}, nil
}

// parseNamed reads [HOST/]REPOSITORY[:TAG][@DIGEST] in full: Docker Hub where there is no host, the tag latest where
// there is neither tag nor digest.
func parseNamed(s string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return nil, fmt.Errorf("%w; expected [HOST/]REPOSITORY[:TAG][@sha256:HEX], or another transport: %s", err, known)
	}
	if d, ok := named.(reference.Digested); ok && d.Digest().Algorithm() != digest.SHA256 {
		return nil, errors.New("the part after @ must be sha256: and 64 lower case hexadecimal digits")
	}
	return reference.TagNameOnly(named), nil
}

// String is the reference in full, with its transport: the same for all ways to write it. Paths stay as they are
// written, relative to the recipe's folder.
func (r Reference) String() string {
	if r.Transport == Registry {
		return "docker://" + r.text
	}
	return r.Transport + ":" + r.text
}

// digest is the one that the reference has itself, "" for none.
func (r Reference) digest() string {
	switch d, ok := r.named.(reference.Digested); {
	case ok:
		return d.Digest().String()
	case r.Transport == Daemon && r.named == nil:
		return r.text
	}
	return ""
}

// tag is that of a registry's image, "" when there is none.
func (r Reference) tag() string {
	if t, ok := r.named.(reference.Tagged); ok {
		return t.Tag()
	}
	return ""
}

func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
