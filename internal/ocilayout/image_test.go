package ocilayout

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	base = layerTar("base", strings.Repeat("base ", 5000))
	app  = layerTar("app", "app")
)

func TestForms(t *testing.T) {
	oci := memory{}
	oci.index(oci.image("amd64", base, app))

	config := toJSON(configFor("amd64", base, app))
	name := strings.TrimPrefix(digestOf(config), "sha256:")
	saved := func(config string, layers ...string) []byte {
		return toJSON([]object{{"Config": config, "RepoTags": []string{"app:1"}, "Layers": layers}})
	}
	classic := memory{name + ".json": config, "a/layer.tar": base, "b/layer.tar": app,
		"manifest.json": saved(name+".json", "a/layer.tar", "b/layer.tar")}
	crane := memory{"sha256:" + name: config, "a.tar.gz": gzipped(base), "b.tar.gz": gzipped(app),
		"manifest.json": saved("sha256:"+name, "a.tar.gz", "b.tar.gz")}
	hybrid := memory{"manifest.json": []byte("not looked at")}
	hybrid.index(hybrid.image("amd64", base, app))

	for name, path := range map[string]string{
		"layout directory":    oci.dir(t),
		"OCI archive":         writeFile(t, oci.tar()),
		"docker save":         writeFile(t, classic.tar()),
		"docker save, gzip":   writeFile(t, crane.tar()),
		"docker save, hybrid": writeFile(t, hybrid.tar()),
	} {
		t.Run(name, func(t *testing.T) {
			for _, platform := range []string{"", "linux/amd64"} {
				if d := cmp.Diff([][]byte{base, app}, contents(t, path, platform)); d != "" {
					t.Error(d)
				}
			}
			im, err := Open(path, "")
			if err != nil {
				t.Fatal(err)
			}
			defer im.Close()
			raw, c := im.Config()
			if !bytes.Equal(raw, config) {
				t.Errorf("config %s, want %s", raw, config)
			}
			if len(c.Config.Entrypoint) != 1 || c.Config.Entrypoint[0] != "/bin/app" {
				t.Errorf("entrypoint %q", c.Config.Entrypoint)
			}
		})
	}
}

// Docker writes equal layers of an archive once and links the others to it.
func TestDockerSaveLinks(t *testing.T) {
	config := toJSON(configFor("amd64", base, base, base))
	manifest := toJSON([]object{{"Config": "config.json", "Layers": []string{"a/layer.tar", "b/layer.tar", "c"}}})
	archive := tarOf(
		&tar.Header{Name: "config.json", Mode: 0o644, Size: int64(len(config))}, string(config),
		&tar.Header{Name: "./a/layer.tar", Mode: 0o644, Size: int64(len(base))}, string(base),
		&tar.Header{Name: "b/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../a/layer.tar"},
		&tar.Header{Name: "c", Typeflag: tar.TypeLink, Linkname: "b/layer.tar"},
		&tar.Header{Name: "manifest.json", Mode: 0o644, Size: int64(len(manifest))}, string(manifest),
	)
	if d := cmp.Diff([][]byte{base, base, base}, contents(t, writeFile(t, archive), "")); d != "" {
		t.Error(d)
	}
}

func TestPlatformSelection(t *testing.T) {
	arm, x86 := layerTar("arm", "arm"), layerTar("x86", "x86")
	m := memory{}
	plain := func(arch string, b []byte) object { return m.image(arch, b) }
	on := func(d object, os, arch, variant string) object {
		return with(d, "platform", object{"os": os, "architecture": arch, "variant": variant})
	}
	armImage, x86Image := on(plain("arm64", arm), "linux", "arm64", "v8"), on(plain("amd64", x86), "linux", "amd64", "")
	attestation := on(with(m.image("amd64", base), "annotations",
		map[string]string{"vnd.docker.reference.type": "attestation-manifest"}), "unknown", "unknown", "")
	signature := m.addJSON(typeOCIManifest, object{"schemaVersion": 2, "layers": []object{},
		"config": m.add("application/vnd.dev.cosign.config", []byte("{}"))})
	other := object{"mediaType": "application/vnd.example", "digest": digestOf(nil), "size": 0}
	nested := m.addJSON(typeDockerList, object{"schemaVersion": 2, "mediaType": typeDockerList,
		"manifests": []object{x86Image, attestation}})

	tests := []struct {
		name     string
		index    []object
		platform string
		want     []byte
	}{
		{"by index", []object{armImage, x86Image}, "linux/amd64", x86},
		{"variant left out by the user", []object{armImage, x86Image}, "linux/arm64", arm},
		{"variant left out by the index", []object{on(armImage, "linux", "arm64", "")}, "linux/arm64/v8", arm},
		{"by config", []object{plain("arm64", arm), plain("amd64", x86)}, "linux/arm64", arm},
		{"nested index", []object{nested, nested}, "linux/amd64", x86},
		{"attestation ignored", []object{nested}, "", x86},
		{"signature ignored", []object{signature, x86Image}, "", x86},
		{"other kinds ignored", []object{other, x86Image}, "", x86},
		{"an image with the type of its config", []object{with(x86Image, "artifactType", typeOCIConfig)}, "linux/amd64", x86},
		{"two tags", []object{x86Image, x86Image}, "", x86},
		{"platform unknown", []object{plain("", x86)}, "linux/amd64", x86},
		{"unknown is second choice", []object{plain("", arm), x86Image}, "linux/amd64", x86},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff([][]byte{tt.want}, contents(t, m.index(tt.index...).dir(t), tt.platform)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSeveralSavedImages(t *testing.T) {
	m := memory{"arm.json": toJSON(configFor("arm64", base)), "x86.json": toJSON(configFor("amd64", app)),
		"base": base, "app": app}
	arm := object{"Config": "arm.json", "RepoTags": []string{"app:arm"}, "Layers": []string{"base"}}
	x86 := object{"Config": "x86.json", "RepoTags": []string{"app:x86"}, "Layers": []string{"app"}}
	m["manifest.json"] = toJSON([]object{arm, x86, with(x86, "RepoTags", []string{"app:again"})})
	if d := cmp.Diff([][]byte{app}, contents(t, writeFile(t, m.tar()), "linux/amd64")); d != "" {
		t.Error(d)
	}
	_, err := openStore(m, platform{}, "")
	want := "holds several images; choose one with --platform, or keep only one: " +
		"arm.json (linux/arm64, app:arm); x86.json (linux/amd64, app:x86, app:again)"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A layer with another content than its digest says fails at its end, never silently.
func TestWrongContent(t *testing.T) {
	layerName := func(m memory) string {
		return "blobs/sha256/" + strings.TrimPrefix(digestOf(gzipped(app)), "sha256:")
	}
	for _, tt := range []struct {
		name   string
		damage func(b []byte) []byte
		want   string
	}{
		{"bit flipped", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "has the digest sha256:"},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, "but its descriptor says"},
		{"longer", func(b []byte) []byte { return append(b, 0) }, "but its descriptor says"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := memory{}
			m.index(m.image("amd64", app))
			m[layerName(m)] = tt.damage(m[layerName(m)])
			err := readAll(m)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "copy the image again") {
				t.Errorf("error %v, want one with %q and a remedy", err, tt.want)
			}
		})
	}
	t.Run("docker save", func(t *testing.T) {
		for _, layer := range [][]byte{base, gzipped(base)} {
			m := memory{"c.json": toJSON(configFor("amd64", app)), "l": layer,
				"manifest.json": toJSON([]object{{"Config": "c.json", "Layers": []string{"l"}}})}
			err := readAll(m)
			want := "has the digest " + digestOf(base) + ", not " + digestOf(app)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %q", err, want)
			}
		}
	})
}

// readAll opens the only image of a layout and reads its layers.
func readAll(m memory) error {
	im, err := openStore(m, platform{}, "")
	if err != nil {
		return err
	}
	for _, l := range im.Layers() {
		r, err := l.Open()
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
	return nil
}

// A compressed layer of docker save is checked by what it unpacks to, damaged streams and early closes included.
func TestGunzipVerifier(t *testing.T) {
	gz := gzipped(base)
	damaged := bytes.Clone(gz)
	damaged[len(gz)/2] ^= 0x55
	for name, tt := range map[string]struct {
		stream []byte
		want   string
	}{
		"good":        {gz, ""},
		"two members": {append(gzipped(base[:100]), gzipped(base[100:])...), ""},
		"other":       {gzipped(app), "x: unpacked: has the digest " + digestOf(app)},
		"damaged":     {damaged, ""},
		"cut off":     {gz[:len(gz)-5], "x: unpacked: unexpected EOF"},
		"garbage":     {append(bytes.Clone(gz), "garbage garbage"...), "x: unpacked: gzip: invalid header"},
		"no header":   {[]byte("x"), "x: unpacked: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(newGunzipVerifier(io.NopCloser(bytes.NewReader(tt.stream)), "x", digestOf(base)))
			switch {
			case name == "damaged" && err != nil: // which error depends on the bit
			case (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %v, want %q", err, tt.want)
			case err == nil && !bytes.Equal(got, tt.stream):
				t.Error("the stream was changed")
			}
		})
	}
	g := newGunzipVerifier(io.NopCloser(bytes.NewReader(gz)), "x", digestOf(base))
	if _, err := g.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if err := <-g.done; err == nil {
		t.Error("closed early without an error for the side that unpacks")
	}
}

func TestVerifierReadsPastTheEnd(t *testing.T) {
	for _, tt := range []struct {
		size int64
		want string
	}{{3, ""}, {-1, ""}, {2, "is longer than the 2 bytes"}, {4, "has 3 bytes, not the 4 declared"}} {
		_, err := io.ReadAll(newVerifier(strings.NewReader("abc"), "x", digestOf([]byte("abc")), tt.size))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("size %d: error %v, want %q", tt.size, err, tt.want)
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(newVerifier(io.MultiReader(strings.NewReader("a"), failing{broken}), "x", "", -1)); !errors.Is(
		err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestReadConfig(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(name, []byte(`{"config":{"Env":["A=b"],"ExposedPorts":{"80/tcp":{}}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(name)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{Config: Execution{Env: []string{"A=b"}, ExposedPorts: map[string]struct{}{"80/tcp": {}}}}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}
