// Package naming says what the outputs of a build are called.
package naming

import (
	"path"
	"path/filepath"
	"strings"
)

// Names are those of the outputs of a build.
type Names struct {
	Image    string // IMAGE.img and IMAGE.initramfs.cpio.gz, or IMAGE.cpio.gz
	Manifest string // MANIFEST.manifest.json, and the name of an image whose manifest.toml has none
}

// OfImage names a root file system after its image, a reference with or without a transport: nginx:alpine is nginx-rootfs
// and nginx; that of a layout or archive goes by the name of its file.
func OfImage(reference string) Names {
	name := imageName(reference)
	return Names{Image: name + "-rootfs", Manifest: name}
}

// Of names any other build: after the name in manifest.toml, or without one after the folder that it is in.
func Of(manifestName, folder string) Names {
	if manifestName == "" {
		manifestName = OfFolder(folder)
	}
	return Names{Image: manifestName, Manifest: manifestName}
}

// OfFolder is a name after a folder, or "image" where that has no usable one.
func OfFolder(folder string) string {
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs
	}
	return clean(filepath.Base(folder))
}

// Transports whose references are paths.
var pathTransports = []string{"oci:", "oci-archive:", "docker-archive:"}

func imageName(reference string) string {
	for _, transport := range pathTransports {
		if file, ok := strings.CutPrefix(reference, transport); ok {
			name := path.Base(filepath.ToSlash(file))
			name, _, _ = strings.Cut(name, ":")
			for _, suffix := range []string{".gz", ".tar", ".tgz"} {
				name = strings.TrimSuffix(name, suffix)
			}
			return clean(name)
		}
	}
	name := strings.TrimPrefix(strings.TrimPrefix(reference, "docker-daemon:"), "docker://")
	name, _, _ = strings.Cut(name, "@")
	name = path.Base(name)
	name, _, _ = strings.Cut(name, ":")
	return clean(name)
}

// maxName is how long the name of an image may be (docs/manifest.md).
const maxName = 63

// clean makes a name for an image of any: lower-case letters, digits, '-' and '_', a letter or digit first.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	name = strings.Trim(name, "-_")
	if len(name) > maxName {
		name = strings.TrimRight(name[:maxName], "-_")
	}
	if name == "" {
		return "image"
	}
	return name
}
