package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/tomlread"
)

func reference(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestReference compares the keys that are read with those in the tables of docs/manifest.md.
func TestReference(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("testdata", "full.toml"))
	if err != nil {
		t.Fatal(err)
	}
	toml, err := tomlread.New("full.toml", src, MaxTOML)
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{Decoder: toml}
	d.read("", imageDefaults{})
	var read []string
	replace := strings.NewReplacer("[0]", "", "[1]", "", "actions.reload.", "actions.NAME.",
		"actions.status.", "actions.NAME.", "cloud_init.user_data.", "", "cloud_init.meta_data.", "",
		"cloud_init.network_config.", "")
	for _, key := range d.Known() {
		read = append(read, replace.Replace(key))
	}
	tables := []string{"workload", "network", "resources", "cloud_init", "devices"} // have headings, no rows
	read = slices.DeleteFunc(read, func(key string) bool { return slices.Contains(tables, key) })
	var documented []string
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z_.]+)` \\| (?:string|integer|boolean|array of|table)")
	for _, row := range rows.FindAllStringSubmatch(reference(t), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(read)
	slices.Sort(documented)
	read, documented = slices.Compact(read), slices.Compact(documented)
	if !slices.Equal(read, documented) {
		t.Errorf("read are\n%s\ndocumented are\n%s", strings.Join(read, "\n"), strings.Join(documented, "\n"))
	}
}

// TestExamples reads the examples of docs/manifest.md.
func TestExamples(t *testing.T) {
	config := &ocilayout.Config{Config: ocilayout.Execution{Entrypoint: []string{"/a"}}}
	for _, example := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(reference(t), -1) {
		src := example[1]
		if !strings.Contains(src, "version = ") {
			src = "version = \"1\"\n" + src
		}
		o := Options{Name: "example", RootFS: image, Config: config}
		if _, err := Generate("manifest.md", []byte(src), o); err != nil {
			t.Errorf("%s\n%v", src, err)
		}
	}
}
