package guides

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

var (
	joined = regexp.MustCompile(`"\s*\+\s*"`)
	verbs  = regexp.MustCompile(`%[dqsv]|"NAME"|\bN\b|\b[0-9]+\b`)
	quoted = regexp.MustCompile("`([^`]+)`")
)

// shape makes an error's text comparable with the literal that it comes from: numbers and names are all the same.
func shape(text string) string { return verbs.ReplaceAllString(text, "#") }

// TestLimitsTexts looks for the errors that docs/limits.md quotes in the sources.
func TestLimitsTexts(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir(filepath.Join(toolrun.Repository(), "internal"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.WriteString(shape(joined.ReplaceAllString(strings.ReplaceAll(string(text), `\"`, `"`), "")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, m := range quoted.FindAllStringSubmatch(page(t, "limits.md"), -1) {
		for part := range strings.SplitSeq(m[1], "…") {
			if part = strings.Trim(part, " ,;:"); strings.Count(part, " ") < 2 || strings.HasPrefix(part, "No space") {
				continue // a name, or the kernel's words
			}
			checked++
			if !strings.Contains(sources.String(), shape(part)) {
				t.Errorf("docs/limits.md quotes %q, which no source has", part)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d texts found", checked)
	}
}
