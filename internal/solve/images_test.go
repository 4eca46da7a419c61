package solve

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// layerFiles writes two layers, one of them compressed, and a config; they come back as a base image.
func layerFiles(t *testing.T) (im BaseImage, blobs map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	plain := imagetest.Tar(t, imagetest.File{Header: tar.Header{Name: "a", Typeflag: tar.TypeReg, Mode: 0o644}, Data: "a"})
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(plain)
	w.Close()
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","history":[`+
		`{"created":"2020-01-01T00:00:00Z"},{"created":"2020-01-01T00:00:00Z"}],"rootfs":{"type":"layers","diff_ids":[%q,%[1]q]}}`,
		fromMemory(plain).digest)
	blobs = map[string][]byte{}
	put := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		blobs[fromMemory(data).digest] = data
		return file
	}
	im = BaseImage{Refs: []string{"base:1", "docker.io/library/base:1"}, Config: put("config.json", config)}
	im.Layers = []Layer{
		{File: put("0.tar", plain)},
		{File: put("1.tgz", z.Bytes()), Digest: fromMemory(z.Bytes()).digest, MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip"},
	}
	return im, blobs
}

// written writes images to an archive and gives its files.
func written(t *testing.T, images ...BaseImage) (map[string][]byte, []wire.Image, error) {
	t.Helper()
	list, err := openImages(t.Context(), images, "amd64")
	defer list.close()
	if err != nil {
		return nil, nil, err
	}
	var b bytes.Buffer
	a := archive{w: tar.NewWriter(&b)}
	if err := list.write(t.Context(), a); err != nil {
		return nil, nil, err
	}
	if err := a.w.Close(); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, list.names(), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLayerImages(t *testing.T) {
	im, blobs := layerFiles(t)
	files, names, err := written(t, im)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 2 || names[0].Store != "image0" || names[0].Ref != "base:1" || names[1].Digest != names[0].Digest {
		t.Fatalf("names %+v", names)
	}
	path := func(digest string) string { return "oci/image0/blobs/" + strings.Replace(digest, ":", "/", 1) }
	var m ocispec.Manifest
	if err := json.Unmarshal(files[path(names[0].Digest)], &m); err != nil {
		t.Fatal(err)
	}
	types := []string{m.Layers[0].MediaType, m.Layers[1].MediaType}
	if diff := cmp.Diff([]string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip}, types); diff != "" {
		t.Errorf("media types (-want +got):\n%s", diff)
	}
	for digest, data := range blobs {
		if !bytes.Equal(files[path(digest)], data) {
			t.Errorf("%s is not there", digest)
		}
	}
	if len(files) != len(blobs)+1 {
		t.Errorf("%d files", len(files))
	}
}

// TestLayoutImages gives the image as an archive of docker save, whose compressed layer has no digest.
func TestLayoutImages(t *testing.T) {
	im, blobs := layerFiles(t)
	file := filepath.Join(t.TempDir(), "saved.tar")
	var members []imagetest.File
	add := func(name string, from string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, imagetest.File{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, Data: string(data)})
	}
	add("c.json", im.Config)
	add("0/layer.tar", im.Layers[0].File)
	add("1/layer.tar", im.Layers[1].File)
	members = append(members, imagetest.File{
		Header: tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Mode: 0o644},
		Data:   `[{"Config": "c.json", "Layers": ["0/layer.tar", "1/layer.tar"]}]`,
	})
	if err := os.WriteFile(file, imagetest.Tar(t, members...), 0o644); err != nil {
		t.Fatal(err)
	}
	files, _, err := written(t, BaseImage{Refs: []string{"x"}, Layout: file})
	if err != nil {
		t.Fatal(err)
	}
	for digest := range blobs {
		if _, ok := files["oci/image0/blobs/"+strings.Replace(digest, ":", "/", 1)]; !ok {
			t.Errorf("%s is not there", digest)
		}
	}
	// It opens, but the layer without a digest is not read.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	list, err := openImages(ctx, []BaseImage{{Refs: []string{"x"}, Layout: file}}, "amd64")
	if !errors.Is(err, context.Canceled) || len(list) != 1 || list[0].close == nil {
		t.Errorf("%v; %d images to close", err, len(list))
	}
	list.close()
}

func TestImageErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*BaseImage)
		want   string
	}{
		"wrong digest": {func(im *BaseImage) { im.Layers[0].Digest = "sha256:" + strings.Repeat("0", 64) }, "was expected"},
		"no config":    {func(im *BaseImage) { im.Config = "" }, "give fledge_layers one"},
		"layers":       {func(im *BaseImage) { im.Layers = im.Layers[:1] }, "speaks of 2 layers, and there are 1"},
		"no file":      {func(im *BaseImage) { im.Layers[1].File = "none" }, "no such file"},
		"no layout":    {func(im *BaseImage) { im.Layout = "none" }, "no such file"},
	} {
		im, _ := layerFiles(t)
		c.change(&im)
		_, _, err := written(t, im)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "base image base:1: ") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	im, _ := layerFiles(t)
	list, err := openImages(t.Context(), []BaseImage{im}, "arm64")
	list.close()
	if err == nil || !strings.Contains(err.Error(), "the image is for amd64, and the guest is arm64") {
		t.Errorf("error %v", err)
	}
}

const imageLines = `{"refs": ["alpine:3.22"], "config": "c.json"}
{"layer": "0.tar", "digest": "sha256:0", "media_type": "x"}

{"layer": "1.tar"}
{"refs": ["a", "b"], "layout": "dir"}
`

func TestReadImages(t *testing.T) {
	got, err := ReadImages(strings.NewReader(imageLines))
	want := []BaseImage{
		{Refs: []string{"alpine:3.22"}, Config: "c.json", Layers: []Layer{{"0.tar", "sha256:0", "x"}, {File: "1.tar"}}},
		{Refs: []string{"a", "b"}, Layout: "dir"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"{}":                                     `line 1: give "refs" and either`,
		`{"layer": "x"}`:                         `line 1: a "layer" follows`,
		`{"refs": ["a"]}`:                        "line 1: give",
		`{"refs": ["a"], "x": 1}`:                "unknown field",
		imageLines + `{"layer": "x"}`:            `line 6: a "layer" follows`,
		`{"refs":["a"],"config":"c"} {}`:         "more than one",
		`{"refs":["a"],"config":"c","layout":""`: "line 1: unexpected",
	} {
		if _, err := ReadImages(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func FuzzReadImages(f *testing.F) {
	f.Add([]byte(imageLines))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ReadImages(bytes.NewReader(b))
		for _, im := range list {
			if err != nil || len(im.Refs) == 0 {
				t.Errorf("%+v, %v", im, err)
			}
		}
	})
}

func TestPlain(t *testing.T) {
	var b strings.Builder
	print := Plain(&b)
	for _, e := range []wire.Event{
		{Kind: wire.EventBoot, Text: "init", Seconds: 2.34},
		{Kind: wire.EventStart, Step: 2, Text: "[1/2] RUN \x1b[2Jmake"},
		{Kind: wire.EventLog, Step: 2, Text: "red\x1b]0;title\x07\r\tend"},
		{Kind: wire.EventDone, Step: 2, Seconds: 0.25},
		{Kind: wire.EventDone, Step: 3, Cached: true},
		{Kind: wire.EventDone, Step: 4, Error: "exit code: 1"},
		{Kind: wire.EventWarn, Text: "old syntax"},
	} {
		print(e)
	}
	const want = "machine: init after 2.3 s\n#2 [1/2] RUN [2Jmake\n#2 | red]0;title\tend\n#2 done in 0.2 s\n#3 cached\n" +
		"#4 failed: exit code: 1\nwarning: old syntax\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWarnings has a guest that was taken over, too: it warns without end.
func TestWarnings(t *testing.T) {
	var b strings.Builder
	print := Warnings(&b)
	for _, e := range []wire.Event{
		{Kind: wire.EventStart, Step: 1, Text: "RUN make"},
		{Kind: wire.EventWarn, Text: "old\x1b syntax"},
		{Kind: wire.EventLog, Step: 1, Text: "made"},
		{Kind: wire.EventWarn, Text: "cache damaged"},
		{Kind: wire.EventWarn, Text: "old\x1b syntax"},
		{Kind: wire.EventDone, Step: 1, Error: "exit code: 1"},
	} {
		print(e)
	}
	if want := "warning: old syntax\nwarning: cache damaged\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	for i := range 3 * maxWarnings {
		print(wire.Event{Kind: wire.EventWarn, Text: fmt.Sprint(i)})
	}
	if lines := strings.Count(b.String(), "\n"); lines != maxWarnings+1 || !strings.HasSuffix(b.String(), "there may be more, 100 are shown\n") {
		t.Errorf("%d lines: %s", lines, b.String())
	}
}
