package dockerfiles

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

// image is what two builders must agree on.
type image struct {
	Tree    []string       // what imagetest.Describe tells, without times
	Config  map[string]any // the whole of "config"
	System  string         // os and architecture
	History []string       // what each layer and setting was made by
}

// readImage reads an OCI layout, a folder or a tar.
func readImage(t *testing.T, layout string) (im image) {
	t.Helper()
	oci, err := ocilayout.Open(layout, "")
	if err != nil {
		t.Fatal(err)
	}
	defer oci.Close()
	raw, _ := oci.Config()
	var config struct {
		Config       map[string]any
		OS           string
		Architecture string
		History      []struct {
			CreatedBy string `json:"created_by"`
		}
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	im.Config, im.System = config.Config, config.OS+"/"+config.Architecture
	for _, h := range config.History {
		im.History = append(im.History, h.CreatedBy)
	}
	var files []string
	for i, l := range oci.Layers() {
		files = append(files, filepath.Join(t.TempDir(), fmt.Sprint(i)))
		if err := uncompress(l, files[i]); err != nil {
			t.Fatal(err)
		}
	}
	root, err := imagetest.Unpack(t, files...)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range imagetest.Describe(t, root) {
		im.Tree = append(im.Tree, timeField.ReplaceAllString(line, "$1"))
	}
	return im
}

// timeField follows name, mode and owner in a line of Describe.
var timeField = regexp.MustCompile(`^("(?:[^"\\]|\\.)*" \d+ \d+:\d+) -?\d+`)

func uncompress(l ocilayout.Layer, to string) error {
	in, err := l.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	r := io.Reader(in)
	if strings.HasSuffix(l.MediaType, "gzip") {
		if r, err = gzip.NewReader(in); err != nil {
			return err
		}
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// compare reports where the images differ.
func compare(t *testing.T, peer string, want, got image) {
	t.Helper()
	if diff := cmp.Diff(want.Config, got.Config); diff != "" {
		t.Errorf("configuration (-%s +Fledge):\n%s", peer, diff)
	}
	if diff := cmp.Diff(want.History, got.History); diff != "" {
		t.Errorf("history (-%s +Fledge):\n%s", peer, diff)
	}
	if want.System != got.System {
		t.Errorf("%s made an image of %s and Fledge one of %s", peer, want.System, got.System)
	}
	for _, line := range want.Tree {
		if !slices.Contains(got.Tree, line) {
			t.Errorf("-%s: %s", peer, line)
		}
	}
	for _, line := range got.Tree {
		if !slices.Contains(want.Tree, line) {
			t.Errorf("+Fledge: %s", line)
		}
	}
}
