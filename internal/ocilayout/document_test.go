package ocilayout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

func entry(d object, platform string) object {
	parts := append(strings.Split(platform, "/"), "")
	return with(d, "platform", object{"os": parts[0], "architecture": parts[1], "variant": parts[2]})
}

func TestParseDocument(t *testing.T) {
	m := memory{}
	x86 := m.image("amd64", base, app)
	arm := func(n string) object { return m.image("arm", layerTar("name", n)) }
	v6, v7, v8 := arm("6"), arm("7"), arm("8")
	index := func(entries ...object) []byte { return toJSON(object{"schemaVersion": 2, "manifests": entries}) }
	for name, tt := range map[string]struct {
		raw      []byte
		platform string
		want     object
	}{
		"one":                {index(entry(x86, "linux/amd64")), "linux/amd64", x86},
		"usual variant":      {index(entry(v6, "linux/arm/v6"), entry(v7, "linux/arm/v7")), "linux/arm", v7},
		"no usual variant":   {index(entry(v6, "linux/arm/v6"), entry(v8, "linux/arm/v8")), "linux/arm", v6},
		"variant":            {index(entry(v7, "linux/arm/v7"), entry(v6, "linux/arm/v6")), "linux/arm/v6", v6},
		"variant left out":   {index(entry(v6, "linux/arm/v6"), entry(v7, "linux/arm")), "linux/arm/v7", v7},
		"attestation before": {index(entry(v6, "unknown/unknown"), entry(x86, "linux/amd64")), "linux/amd64", x86},
		"Docker's": {toJSON(object{"schemaVersion": 2, "mediaType": typeDockerList,
			"manifests": []object{entry(x86, "linux/amd64")}}), "linux/amd64", x86},
	} {
		_, next, err := ParseDocument(tt.raw, tt.platform)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := Blob{tt.want["mediaType"].(string), tt.want["digest"].(string), int64(tt.want["size"].(int))}
		if *next != want {
			t.Errorf("%s: %v, want %v", name, *next, want)
		}
	}

	raw := m["blobs/sha256/"+strings.TrimPrefix(x86["digest"].(string), "sha256:")]
	got, next, err := ParseDocument(raw, "linux/amd64")
	if err != nil || next != nil {
		t.Fatal(next, err)
	}
	config := toJSON(configFor("amd64", base, app))
	want := &Manifest{typeOCIManifest, Blob{typeOCIConfig, digestOf(config), int64(len(config))}, nil}
	for _, l := range [][]byte{gzipped(base), gzipped(app)} {
		want.Layers = append(want.Layers, Blob{typeOCILayer + "+gzip", digestOf(l), int64(len(l))})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseDocumentErrors(t *testing.T) {
	m := memory{}
	config := m.addJSON(typeOCIConfig, configFor("amd64", app))
	layer := m.add(typeOCILayer, app)
	manifest := func(config object, layers ...object) []byte {
		return toJSON(object{"schemaVersion": 2, "config": config, "layers": layers})
	}
	for name, tt := range map[string]struct {
		raw  []byte
		want string
	}{
		"no JSON":          {[]byte("<html>"), "not JSON: byte 1"},
		"schema 1":         {[]byte(`{"schemaVersion": 1, "fsLayers": []}`), "is a Docker schema 1 image"},
		"of another kind":  {[]byte(`{"schemaVersion": 2, "mediaType": "text/plain"}`), `unknown media type "text/plain"`},
		"nothing":          {[]byte(`{"schemaVersion": 2}`), `unknown media type ""`},
		"artifact":         {manifest(with(config, "mediaType", "application/vnd.cncf.helm.config.v1+json"), layer), "is no image"},
		"no layers":        {manifest(config), "empty image: there are no layers"},
		"encrypted":        {manifest(config, with(layer, "mediaType", typeOCILayer+"+gzip+encrypted")), "is an encrypted layer"},
		"foreign":          {manifest(config, with(layer, "mediaType", foreignTypes[0])), "is a foreign layer"},
		"unknown layer":    {manifest(config, with(layer, "mediaType", "text/plain")), `unknown media type "text/plain"`},
		"bad digest":       {manifest(config, with(layer, "digest", "sha256:../../x")), "is not sha256: and 64 lower-case hex digits"},
		"another digest":   {manifest(with(config, "digest", "sha512:00"), layer), "is not a sha256 digest"},
		"negative size":    {manifest(config, with(layer, "size", -1)), "cannot have -1 bytes"},
		"large config":     {manifest(with(config, "size", MaxJSON+1), layer), "a JSON document at most"},
		"other platform":   {toJSON(object{"schemaVersion": 2, "manifests": []object{entry(layer, "linux/arm64")}}), "the index has no linux/amd64; it has linux/arm64"},
		"empty index":      {[]byte(`{"schemaVersion": 2, "manifests": []}`), "it has no platform at all"},
		"entry of a layer": {toJSON(object{"schemaVersion": 2, "manifests": []object{entry(layer, "linux/amd64")}}), "has the unknown media type"},
	} {
		m, next, err := ParseDocument(tt.raw, "linux/amd64")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v, error %v, want %q", name, m, next, err, tt.want)
		}
	}
}

func TestOpenTagged(t *testing.T) {
	m := memory{}
	first, second := m.image("amd64", base), m.image("amd64", app)
	tagged := func(d object, key, tag string) object { return with(d, "annotations", object{key: tag}) }
	m.index(tagged(first, refName, "v1"), tagged(second, containerdName, "docker.io/library/app:2"))
	saved := memory{"b.json": toJSON(configFor("amd64", base)), "a.json": toJSON(configFor("amd64", app)), "base": base, "app": app}
	saved["manifest.json"] = toJSON([]object{
		{"Config": "b.json", "RepoTags": []string{"app:1"}, "Layers": []string{"base"}},
		{"Config": "a.json", "RepoTags": []string{"docker.io/library/app:2"}, "Layers": []string{"app"}},
	})
	for _, tt := range []struct {
		m         memory
		tag, want string // want: digest, or error
	}{
		{m, "v1", first["digest"].(string)},
		{m, "app:2", second["digest"].(string)},
		{m, "v3", `holds no image tagged "v3", only v1, docker.io/library/app:2`},
		{saved, "app:1", digestOf(toJSON(configFor("amd64", base)))},
		{saved, "app:2", digestOf(toJSON(configFor("amd64", app)))},
		{saved, "app:3", `holds no image tagged "app:3", only app:1, docker.io/library/app:2`},
	} {
		im, err := OpenTagged(writeFile(t, tt.m.tar()), tt.tag, "linux/amd64")
		if err != nil {
			if !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("%s: error %v, want %s", tt.tag, err, tt.want)
			}
			continue
		}
		if im.Digest() != tt.want || !im.Is(tt.want) {
			t.Errorf("%s: %s, want %s", tt.tag, im.Digest(), tt.want)
		}
		im.Close()
	}
}

// FuzzParseDocument feeds the reader of a registry's answers.
func FuzzParseDocument(f *testing.F) {
	m := memory{}
	d := m.image("amd64", app)
	f.Add(m["blobs/sha256/"+strings.TrimPrefix(d["digest"].(string), "sha256:")], "linux/amd64")
	f.Add(toJSON(object{"schemaVersion": 2, "manifests": []object{entry(d, "linux/arm/v7")}}), "linux/arm")
	f.Add([]byte(`{"schemaVersion":1}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, platform string) {
		var m *Manifest
		var next *Blob
		var err error
		fuzztest.Limit(t, 16<<20+200*len(raw), func() { m, next, err = ParseDocument(raw, platform) })
		switch {
		case err != nil:
		case (m == nil) == (next == nil):
			t.Errorf("manifest %v, next %v", m, next)
		case m != nil && len(m.Layers) == 0:
			t.Error("an image without layers")
		case next != nil && (next.Size < 0 || next.Size > MaxJSON):
			t.Errorf("a document of %d bytes", next.Size)
		}
	})
}
