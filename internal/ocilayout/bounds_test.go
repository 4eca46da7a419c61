package ocilayout

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// TestManyImages: a small archive whose images share one large config is not read for hours, nor kept once an image.
func TestManyImages(t *testing.T) {
	large := append(toJSON(configFor("amd64", app)), bytes.Repeat([]byte(" "), MaxJSON-4096)...)
	const images = 200
	save := []object{}
	oci := memory{}
	config, layer := oci.add(typeOCIConfig, large), oci.add(typeOCILayer, app)
	index := []object{}
	for i := range images {
		save = append(save, object{"Config": "config", "Layers": []string{"layer", fmt.Sprint(i)}})
		index = append(index, oci.addJSON(typeOCIManifest, object{
			"schemaVersion": 2, "config": config, "layers": []object{layer}, "annotations": object{"n": fmt.Sprint(i)},
		}))
	}
	for name, m := range map[string]memory{
		"docker save": {"manifest.json": toJSON(save), "config": large, "layer": app},
		"OCI layout":  oci.index(index...),
	} {
		fuzztest.Limit(t, 8*maxDocuments, func() { // reading all of a file takes some copies
			_, err := openStore(m, platform{}, "")
			if err == nil || !strings.Contains(err.Error(), "its indexes, manifests and configs have more than 256 MiB") {
				t.Errorf("%s: %.500v", name, err)
			}
		})
	}
}

// TestManyEntries: neither the comparison of many images nor the error that lists them gets out of hand.
func TestManyEntries(t *testing.T) {
	save := func(n int) memory {
		all := []object{}
		for i := range n {
			all = append(all, object{"Config": "config", "Layers": []string{fmt.Sprint(i)}, "RepoTags": []string{fmt.Sprint("a:", i)}})
		}
		return memory{"manifest.json": toJSON(all), "config": toJSON(configFor("amd64", app))}
	}
	for n, want := range map[int]string{
		maxEntries + 1: "manifest.json: it has 10001 images, and at most 10000 are taken",
		30:             "config (linux/amd64, a:19); and 10 more",
	} {
		if _, err := openStore(save(n), platform{}, ""); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%d images: %.3000v", n, err)
		}
	}
}
