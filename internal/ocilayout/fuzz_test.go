package ocilayout

import (
	"bytes"
	"io"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// FuzzConfig feeds the config reader: it must give an error or a config, and never fail otherwise.
func FuzzConfig(f *testing.F) {
	f.Add(toJSON(configFor("amd64", app)))
	f.Add([]byte(`{"config":{"Env":["A=b"],"ExposedPorts":{"80/tcp":{}},"Cmd":null}}`))
	f.Add([]byte(`{"config":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConfig(raw)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v and error %v", c, err)
		}
	})
}

// FuzzDocuments feeds the readers of each kind of document, the documents that refer to it being made to fit.
func FuzzDocuments(f *testing.F) {
	layer := memory{}.add(typeOCILayer, app)
	config := toJSON(configFor("amd64", app))
	manifestFor := func(config object) []byte {
		return toJSON(object{"schemaVersion": 2, "layers": []object{layer}, "config": config})
	}
	manifest := manifestFor(memory{}.add(typeOCIConfig, config))
	indexFor := func(manifest object) []byte {
		return toJSON(object{"schemaVersion": 2, "manifests": []object{manifest}})
	}
	index := indexFor(memory{}.add(typeOCIManifest, manifest))
	saved := toJSON([]object{{"Config": "config", "RepoTags": []string{"a:b"}, "Layers": []string{"layer"}}})
	f.Add(index, "")
	f.Add(manifest, "linux/amd64")
	f.Add(config, "linux/arm/v7")
	f.Add(saved, "")
	f.Fuzz(func(t *testing.T, document []byte, platform string) {
		want, err := parsePlatform(platform)
		if err != nil {
			return
		}
		oci := func(index, manifest, config []byte) memory {
			m := memory{"index.json": index}
			m.add(typeOCILayer, app)
			m.add(typeOCIManifest, manifest)
			m.add(typeOCIConfig, config)
			return m
		}
		fuzzed := manifestFor(memory{}.add(typeOCIConfig, document))
		for _, m := range []memory{
			oci(document, manifest, config),
			oci(indexFor(memory{}.add(typeOCIManifest, document)), document, config),
			oci(indexFor(memory{}.add(typeOCIManifest, fuzzed)), fuzzed, document),
			{"manifest.json": document, "config": config, "layer": app},
			{"manifest.json": saved, "config": document, "layer": app},
		} {
			fuzztest.Limit(t, 16<<20+200*len(document), func() {
				if im, err := openStore(m, want, ""); err == nil && len(im.Layers()) == 0 {
					t.Error("an image without layers")
				}
			})
		}
	})
}

// FuzzArchive feeds the reader of archives.
func FuzzArchive(f *testing.F) {
	m := memory{}
	f.Add(m.index(m.image("amd64", app)).tar())
	f.Add(memory{"manifest.json": []byte(`[{"Config":"c","Layers":["l"]}]`), "c": []byte("{}"), "l": app}.tar())
	f.Add(bytes.Repeat([]byte{0}, 1024))
	f.Fuzz(func(t *testing.T, archive []byte) {
		var s *tarStore
		var err error
		fuzztest.Limit(t, 16<<20+20*len(archive), func() { s, err = indexTar(bytes.NewReader(archive)) })
		if err != nil {
			return
		}
		for name := range s.members {
			if r, size, err := s.open(name); err == nil {
				if n, err := io.Copy(io.Discard, r); n != size || err != nil {
					t.Errorf("%s: %d bytes of %d, error %v", name, n, size, err)
				}
			}
		}
		fuzztest.Limit(t, 16<<20+200*len(archive), func() { openStore(s, platform{}, "") })
	})
}
