package ocilayout

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestErrors has one row for every way in which a layout can be wrong, with the whole message.
func TestErrors(t *testing.T) {
	gz := digestOf(gzipped(app))
	manifestWith := func(m memory, config object, layers ...object) object {
		return m.addJSON(typeOCIManifest, object{"schemaVersion": 2, "config": config, "layers": layers})
	}
	good := func(m memory) (object, object) {
		return m.addJSON(typeOCIConfig, configFor("amd64", app)), m.add(typeOCILayer+"+gzip", gzipped(app))
	}
	tests := []struct {
		name     string
		make     func(m memory)
		platform string
		want     string
	}{
		{"nothing", func(m memory) {}, "",
			"there is neither index.json nor manifest.json; accepted are an OCI image layout (a directory or a tar) and the " +
				"tar of docker save"},
		{"index is no JSON", func(m memory) { m["index.json"] = []byte("{") }, "",
			"index.json: not JSON: byte 1: unexpected end of JSON input"},
		{"wrong type", func(m memory) { m["index.json"] = []byte(`{"schemaVersion":"2"}`) }, "",
			`index.json: byte 20: field "schemaVersion" cannot be a JSON string`},
		{"huge index", func(m memory) { m["index.json"] = bytes.Repeat([]byte(" "), MaxJSON+1) }, "",
			"index.json is larger than the 4194304 bytes allowed for a JSON document"},
		{"no schemaVersion", func(m memory) { m["index.json"] = []byte(`{}`) }, "",
			"index.json has schemaVersion 0, not 2"},
		{"future layout", func(m memory) { m.index(); m["oci-layout"] = []byte(`{"imageLayoutVersion":"2.0.0"}`) }, "",
			`oci-layout: imageLayoutVersion is "2.0.0", not "1.0.0"`},
		{"no manifest", func(m memory) { m.index() }, "", "holds no image"},
		{"several", func(m memory) {
			m.index(with(m.image("amd64", base), "annotations", object{refName: "v1"}), m.image("arm64", app))
		}, "", "holds several images; choose one with --platform, or keep only one: " + digestOfImage("amd64", base) +
			" (linux/amd64, v1); " + digestOfImage("arm64", app) + " (linux/arm64)"},
		{"several for one platform", func(m memory) {
			m.index(m.image("amd64", base), m.image("amd64", app))
		}, "linux/amd64", "holds several images for linux/amd64; keep only one of them: " + digestOfImage("amd64", base) +
			" (linux/amd64); " + digestOfImage("amd64", app) + " (linux/amd64)"},
		{"other platform", func(m memory) { m.index(m.image("arm64", app)) }, "linux/amd64",
			"holds no image for linux/amd64, only " + digestOfImage("arm64", app) + " (linux/arm64)"},
		{"index lies about the platform", func(m memory) {
			m.index(with(m.image("arm64", app), "platform", object{"os": "linux", "architecture": "amd64"}))
		}, "linux/amd64", "manifest " + digestOfImage("arm64", app) +
			": image config: the image is for linux/arm64, not for linux/amd64"},
		{"only an attestation", func(m memory) {
			m.index(with(m.image("amd64", app), "artifactType", "application/vnd.in-toto+json"))
		}, "", "manifest " + digestOfImage("amd64", app) + " is no image but an artifact, and there is nothing else"},
		{"unknown manifest type", func(m memory) { m.index(with(m.image("amd64", app), "mediaType", "x/y")) }, "",
			"index.json: manifest " + digestOfImage("amd64", app) + ` has the unknown media type "x/y"; accepted are ` +
				"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, " +
				"application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"},
		{"schema 1 by type", func(m memory) {
			m.index(object{"mediaType": typeSchema1 + "prettyjws", "digest": gz, "size": 2})
		}, "", "index.json: manifest " + gz + " is a Docker schema 1 image, whose layers have no reliable digests; " +
			"convert it, for example with skopeo copy --format oci"},
		{"schema 1 by content", func(m memory) {
			m.index(m.addJSON(typeDockerManifest, object{"schemaVersion": 1}))
		}, "", "manifest " + digestOf(toJSON(object{"schemaVersion": 1})) + " is a Docker schema 1 image, whose layers " +
			"have no reliable digests; convert it, for example with skopeo copy --format oci"},
		{"type confusion", func(m memory) { m.index(with(m.image("amd64", app), "mediaType", typeDockerManifest)) }, "",
			"manifest " + digestOfImage("amd64", app) + ` says its media type is "` + typeOCIManifest +
				`", but is referred to as "` + typeDockerManifest + `"`},
		{"wrong digest kind", func(m memory) { m.index(with(m.image("amd64", app), "digest", "sha512:00")) }, "",
			`manifest: digest "sha512:00" is not a sha256 digest, the only kind accepted`},
		{"digest that climbs out", func(m memory) {
			m.index(with(m.image("amd64", app), "digest", "sha256:../../../../etc/passwd"))
		}, "", `manifest: digest "sha256:../../../../etc/passwd" is not sha256: and 64 lower-case hex digits`},
		{"manifest missing", func(m memory) { m.index(object{"mediaType": typeOCIManifest, "digest": gz, "size": 2}) }, "",
			"manifest: blob " + blob(gz) + " (" + gz + ") is missing; the layout is incomplete, copy the image again"},
		{"manifest of other size", func(m memory) { m.index(with(m.image("amd64", app), "size", 3)) }, "",
			fmt.Sprintf("manifest: blob %s has %d bytes, but its descriptor says 3; copy the image again",
				blob(digestOfImage("amd64", app)), sizeOfImage("amd64", app))},
		{"manifest altered", func(m memory) {
			m.index(m.image("amd64", app))
			m[blob(digestOfImage("amd64", app))] = bytes.Repeat([]byte(" "), sizeOfImage("amd64", app))
		}, "", "manifest " + digestOfImage("amd64", app) + ": has the digest " +
			digestOf(bytes.Repeat([]byte(" "), sizeOfImage("amd64", app))) + ", not " + digestOfImage("amd64", app) +
			"; copy the image again"},
		{"layer missing", func(m memory) { m.index(m.image("amd64", app)); delete(m, blob(gz)) }, "",
			"manifest " + digestOfImage("amd64", app) + ": layer 0: blob " + blob(gz) + " (" + gz + ") is missing; " +
				"the layout is incomplete, copy the image again"},
		{"unknown layer type", func(m memory) {
			config, layer := good(m)
			m.index(manifestWith(m, config, with(layer, "mediaType", "x/y")))
		}, "", "layer 0: " + gz + ` has the unknown media type "x/y"; accepted are ` + strings.Join(layerTypes, ", ")},
		{"foreign layer", func(m memory) {
			config, layer := good(m)
			layer = with(with(layer, "mediaType", foreignTypes[4]), "urls", []string{"https://example.com/layer"})
			m.index(manifestWith(m, config, layer))
		}, "", "layer 0: " + gz + " is a foreign layer (" + foreignTypes[4] + "), which images do not carry: its source is " +
			"https://example.com/layer; use an image without such layers"},
		{"only an artifact", func(m memory) {
			_, layer := good(m)
			m.index(manifestWith(m, m.add("x/y", []byte("{}")), layer))
		}, "", " is no image: config " + digestOf([]byte("{}")) + ` has the unknown media type "x/y"; accepted are ` +
			"application/vnd.oci.image.config.v1+json, application/vnd.docker.container.image.v1+json"},
		{"no layers", func(m memory) { m.index(m.image("amd64")) }, "",
			"manifest " + digestOfImage("amd64") + ": empty image: there are no layers"},
		{"fewer diff_ids", func(m memory) {
			config, layer := good(m)
			m.index(manifestWith(m, config, layer, layer))
		}, "", ": image config: rootfs.diff_ids has 1 entries, but the manifest has 2 layers"},
		{"bad diff_id", func(m memory) {
			_, layer := good(m)
			config := with(configFor("amd64"), "rootfs", object{"type": "layers", "diff_ids": []string{"x"}})
			m.index(manifestWith(m, m.addJSON(typeOCIConfig, config), layer))
		}, "", `: image config: rootfs.diff_ids[0]: digest "x" is not a sha256 digest, the only kind accepted`},
		{"no rootfs", func(m memory) {
			_, layer := good(m)
			m.index(manifestWith(m, m.add(typeOCIConfig, []byte("{}")), layer))
		}, "", `: image config: rootfs.type is "", not "layers"`},
		{"config is no JSON", func(m memory) {
			_, layer := good(m)
			m.index(manifestWith(m, m.add(typeOCIConfig, []byte("{}}")), layer))
		}, "", "image config: not JSON: byte 3: invalid character '}' after top-level value"},
		{"saved manifest is no list", func(m memory) { m["manifest.json"] = []byte("{}") }, "",
			"manifest.json: cannot be a JSON object"},
		{"saved nothing", func(m memory) { m["manifest.json"] = []byte("[]") }, "", "holds no image"},
		{"saved config missing", func(m memory) { m["manifest.json"] = []byte(`[{"Config":"c.json"}]`) }, "",
			"manifest.json: config c.json is missing; the archive is incomplete, save the image again"},
		{"saved config that climbs out", func(m memory) { m["manifest.json"] = []byte(`[{"Config":"../c"}]`) }, "",
			`manifest.json: config "../c" is not the name of a member of the archive`},
		{"saved config altered", func(m memory) {
			name := strings.Repeat("0", 64) + ".json"
			m[name] = []byte("{}")
			m["manifest.json"] = toJSON([]object{{"Config": name}})
		}, "", strings.Repeat("0", 64) + ".json: has the digest " + digestOf([]byte("{}")) + ", not sha256:" +
			strings.Repeat("0", 64) + "; copy the image again"},
		{"saved layer missing", func(m memory) {
			m["c"] = toJSON(configFor("amd64", app))
			m["manifest.json"] = []byte(`[{"Config":"c","Layers":["l"]}]`)
		}, "", "manifest.json: layer 0: l is missing; the archive is incomplete, save the image again"},
		{"saved layer is zstd", func(m memory) {
			m["c"], m["l"] = toJSON(configFor("amd64", app)), []byte("\x28\xb5\x2f\xfd")
			m["manifest.json"] = []byte(`[{"Config":"c","Layers":["l"]}]`)
		}, "", "manifest.json: layer 0: l is a zstd stream, which this kind of archive cannot hold; accepted are tar and " +
			"tar+gzip, or save the image as an OCI archive"},
		{"saved without layers", func(m memory) {
			m["c"] = toJSON(configFor("amd64"))
			m["manifest.json"] = []byte(`[{"Config":"c"}]`)
		}, "", "empty image: there are no layers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := memory{}
			tt.make(m)
			want, err := parsePlatform(tt.platform)
			if err != nil {
				t.Fatal(err)
			}
			_, err = openStore(m, want, "")
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
			checkFiles(t, m, tt.platform, tt.want)
		})
	}
}

// checkFiles makes sure that the error is the same, with the path before it, from a directory and an archive.
func checkFiles(t *testing.T, m memory, platform, want string) {
	t.Helper()
	for _, path := range []string{m.dir(t), writeFile(t, m.tar())} {
		_, err := Open(path, platform)
		if err == nil || !strings.HasPrefix(err.Error(), "image "+path+": ") || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
}

func blob(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }

func digestOfImage(arch string, layers ...[]byte) string {
	return memory{}.image(arch, layers...)["digest"].(string)
}

func sizeOfImage(arch string, layers ...[]byte) int {
	return memory{}.image(arch, layers...)["size"].(int)
}

func TestFileErrors(t *testing.T) {
	sparse := tarOf(&tar.Header{Name: "index.json", Mode: 0o644, Format: tar.FormatGNU})
	sparse[156] = tar.TypeGNUSparse
	fixChecksum(sparse)
	loop := tarOf(&tar.Header{Name: "index.json", Typeflag: tar.TypeSymlink, Linkname: "index.json"})
	full := memory{}
	full.index(full.image("amd64", base))
	archive := full.tar()
	for _, tt := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"gzip", gzipped(archive), "is a compressed archive; uncompress it first with gunzip"},
		{"zstd", []byte("\x28\xb5\x2f\xfd...."), "is a compressed archive; uncompress it first with unzstd"},
		{"no archive", bytes.Repeat([]byte("x"), 1024), "is neither a directory nor a readable tar archive: archive/tar: " +
			"invalid tar header"},
		{"empty file", nil, "there is neither index.json nor manifest.json; accepted are an OCI image layout (a directory " +
			"or a tar) and the tar of docker save"},
		{"cut off", archive[:600], "is cut off within its member blobs/sha256/"},
		{"sparse", sparse, "stores its member index.json as a sparse file; write the archive without --sparse"},
		{"loop", loop, "index.json: more than 8 links follow each other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, tt.content)
			_, err := Open(path, "")
			if err == nil || !strings.HasPrefix(err.Error(), "image "+path+": "+tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), ""); !os.IsNotExist(err) {
		t.Errorf("error %v for a missing path", err)
	}
	if _, err := Open(t.TempDir(), "linux"); err == nil || err.Error() !=
		`platform "linux" is not os/architecture or os/architecture/variant` {
		t.Errorf("error %v for a bad platform", err)
	}
}

// fixChecksum writes the checksum of a tar header: the sum of its bytes with the checksum taken as spaces.
func fixChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// A FIFO in place of a member must not make the reader wait.
func TestSpecialMember(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "index.json"), 0o600); err != nil {
		t.Skip("no FIFO here:", err)
	}
	_, err := Open(dir, "")
	if err == nil || !strings.HasSuffix(err.Error(), "index.json is not a regular file") {
		t.Error(err)
	}
}
