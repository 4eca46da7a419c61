// Package imagetest helps tests to compare what Fledge makes of layers with what other programs make of them: it has
// umoci unpack layers, the kernel mount images, and describes the file trees that result. What the machine lacks (root,
// a program, a file system) skips the test and says so.
package imagetest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// File is one entry of a layer. The size is that of Data.
type File struct {
	tar.Header
	Data string
}

// Tar makes an uncompressed layer.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		f.Size = int64(len(f.Data))
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// allIDs is /proc/self/uid_map outside of user namespaces.
var allIDs = []string{"0", "0", "4294967295"}

// NeedRoot skips the test unless it runs as the machine's root and has the programs.
func NeedRoot(t testing.TB, programs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for owners, devices and mounts")
	}
	// A sandbox's root is root of a user namespace only, which may do none of that.
	if ids, err := os.ReadFile("/proc/self/uid_map"); err != nil || !slices.Equal(strings.Fields(string(ids)), allIDs) {
		t.Skipf("needs root outside of a user namespace, for owners, devices and mounts (uid_map %q, %v)", ids, err)
	}
	Need(t, programs...)
}

// Need skips the test unless the programs are installed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s, which is not installed", p)
		}
	}
}

// Run runs a program, which must succeed, and gives what it printed.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Unpack has umoci unpack the layers (uncompressed tar files at these paths), the base first, and gives the folder of
// the root file system, or umoci's error. It needs root.
func Unpack(t testing.TB, layers ...string) (rootfs string, err error) {
	t.Helper()
	layout := filepath.Join(t.TempDir(), "layout")
	writeLayout(t, layout, layers)
	return UnpackImage(t, layout+":test")
}

// UnpackImage is Unpack for an image of an OCI layout, given as FOLDER:TAG.
func UnpackImage(t testing.TB, image string) (rootfs string, err error) {
	t.Helper()
	NeedRoot(t, "umoci")
	bundle := filepath.Join(t.TempDir(), "bundle")
	out, err := exec.Command("umoci", "unpack", "--image", image, bundle).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("umoci unpack: %w\n%s", err, out)
	}
	return filepath.Join(bundle, "rootfs"), nil
}

// object is a JSON object.
type object map[string]any

// writeLayout makes an OCI image layout with one image, tagged "test".
func writeLayout(t testing.TB, dir string, layers []string) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	add := func(mediaType string, data []byte) object {
		hex := fmt.Sprintf("%x", sha256.Sum256(data))
		write(t, filepath.Join(blobs, hex), data)
		return object{"mediaType": mediaType, "digest": "sha256:" + hex, "size": len(data)}
	}
	encode := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	descriptors, ids := []object{}, []any{}
	for _, path := range layers {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := add("application/vnd.oci.image.layer.v1.tar", data)
		descriptors, ids = append(descriptors, d), append(ids, d["digest"])
	}
	config := add("application/vnd.oci.image.config.v1+json", encode(object{
		"architecture": "amd64", "os": "linux", "rootfs": object{"type": "layers", "diff_ids": ids},
	}))
	manifest := add("application/vnd.oci.image.manifest.v1+json", encode(object{
		"schemaVersion": 2, "config": config, "layers": descriptors,
	}))
	manifest["annotations"] = object{"org.opencontainers.image.ref.name": "test"}
	write(t, filepath.Join(dir, "index.json"), encode(object{"schemaVersion": 2, "manifests": []object{manifest}}))
	write(t, filepath.Join(dir, "oci-layout"), encode(object{"imageLayoutVersion": "1.0.0"}))
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
