package pull

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestLayouts: what skopeo writes, in all forms that hold an image.
func TestLayouts(t *testing.T) {
	isolate(t)
	image, other := randomImage(t, "amd64", 10_000, 2), randomImage(t, "amd64", 1000, 1)
	from, fromOther := "oci:"+newLayout(t, image)+":test", "oci:"+newLayout(t, other)+":test"
	dir := t.TempDir()
	for _, copy := range [][2]string{
		{from, "oci:" + dir + "/layout:v1"}, {fromOther, "oci:" + dir + "/layout:v2"}, {from, "oci:" + dir + "/untagged"},
		{from, "oci-archive:" + dir + "/oci.tar:v1"}, {from, "docker-archive:" + dir + "/docker.tar:app:1"},
	} {
		skopeo(t, "copy", copy[0], copy[1])
	}
	c, _ := newClient(t)
	for _, tt := range []struct {
		ref  string
		want v1.Image
		err  string
	}{
		{ref: "oci:layout:v1", want: image},
		{ref: "oci:layout:v2", want: other},
		{ref: "oci:untagged", want: image},
		{ref: "oci-archive:oci.tar", want: image},
		{ref: "oci-archive:oci.tar:v1", want: image},
		{ref: "docker-archive:docker.tar", want: image},
		{ref: "docker-archive:docker.tar:app:1", want: image},
		{ref: "docker-archive:docker.tar:docker.io/library/app:1", want: image},
		{ref: "oci-archive:docker.tar", want: image},
		{ref: "oci:layout", err: "oci:layout: image " + dir + "/layout: holds several images for linux/amd64"},
		{ref: "oci:layout:v3", err: `holds no image tagged "v3", only v1, v2`},
		{ref: "docker-archive:docker.tar:app:2", err: `holds no image tagged "app:2", only docker.io/library/app:1`},
		{ref: "oci:nowhere", err: "no such file or directory"},
	} {
		ref, err := ParseReference(tt.ref, dir)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := c.Resolve(t.Context(), ref, amd64)
		if err == nil {
			var im *Image
			if im, err = c.Pull(t.Context(), ref, digest, amd64); err == nil {
				checkLayers(t, im, tt.want)
				if im.Layout != ref.Path || im.Digest != digest {
					t.Errorf("%s: layout %s, digest %s, want %s", tt.ref, im.Layout, im.Digest, digest)
				}
				if strings.HasPrefix(tt.ref, "oci:") && digest != digestOfImage(t, tt.want) {
					t.Errorf("%s resolves to %s", tt.ref, digest)
				}
				im.Close()
			}
		}
		if (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", tt.ref, err, tt.err)
		}
	}
	pinned := "sha256:" + strings.Repeat("0", 64)
	mustFail(t, c, "oci:"+dir+"/layout:v1", pinned, amd64, "is "+digestOfImage(t, image)+", and not "+pinned, "fledge update")
}

// TestIndexInLayout: a tagged index of several platforms.
func TestIndexInLayout(t *testing.T) {
	isolate(t)
	x86, arm := randomImage(t, "amd64", 1000, 1), randomImage(t, "arm64", 1000, 2)
	ref := "oci:" + filepath.Clean(newLayout(t, newIndex(t, x86, arm))) + ":test"
	c, _ := newClient(t)
	checkLayers(t, mustPull(t, c, ref, "", amd64), x86)
	im := mustPull(t, c, ref, digestOfImage(t, arm), "linux/arm64")
	checkLayers(t, im, arm)
	raw, err := arm.RawConfigFile()
	if err != nil || !bytes.Equal(raw, im.RawConfig) {
		t.Errorf("config: %v", err)
	}
}
