package guides

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// TestLinks follows the relative links of all Markdown in the repository: the file is there, and has the heading or the anchor.
// Every page in docs/ can be reached from README.md.
func TestLinks(t *testing.T) {
	root := toolrun.Repository()
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skipf("this is no git checkout, whose files would be looked at: %v", err)
	}
	var pages []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !strings.Contains(name, "testdata/") {
			pages = append(pages, name)
		}
	}
	leads := map[string][]string{}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links(string(text)) {
			target, err := follow(root, page, l.target)
			if err != nil {
				t.Errorf("%s:%d: %v", page, l.line, err)
			}
			leads[page] = append(leads[page], target)
		}
	}
	reached := map[string]bool{}
	for next := []string{"README.md"}; len(next) > 0; next = next[1:] {
		if !reached[next[0]] {
			reached[next[0]] = true
			next = append(next, leads[next[0]]...)
		}
	}
	for _, page := range pages {
		if strings.HasPrefix(page, "docs/") && !reached[page] {
			t.Errorf("no links lead from README.md to %s", page)
		}
	}
}

type link struct {
	line   int
	target string
}

var (
	inline = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	spans  = regexp.MustCompile("`[^`]*`")
)

// links are the relative ones of a page, outside of code.
func links(page string) []link {
	var found []link
	for i, line := range prose(page) {
		for _, m := range inline.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
				found = append(found, link{i + 1, m[1]})
			}
		}
	}
	return found
}

// prose is the lines of a page; those of code blocks are empty, and code spans outside of headings only a word.
func prose(page string) []string {
	lines := strings.Split(page, "\n")
	code := false
	for i, line := range lines {
		mark := strings.HasPrefix(strings.TrimSpace(line), "```")
		if mark {
			code = !code
		}
		if code || mark || strings.HasPrefix(line, "    ") {
			lines[i] = ""
		} else if !strings.HasPrefix(line, "#") {
			lines[i] = spans.ReplaceAllString(line, "code")
		}
	}
	return lines
}

// follow checks a link of a page and gives the file that it leads to.
func follow(root, page, target string) (string, error) {
	name, anchor, hasAnchor := strings.Cut(target, "#")
	file := page
	if name != "" {
		file = filepath.Join(filepath.Dir(page), name)
	}
	info, err := os.Stat(filepath.Join(root, file))
	if err != nil {
		return "", fmt.Errorf("%s leads nowhere: %w", target, err)
	}
	if !hasAnchor || info.IsDir() {
		return file, nil
	}
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return "", err
	}
	if !slices.Contains(anchors(string(text)), anchor) {
		return file, fmt.Errorf("%s has no heading or anchor #%s", file, anchor)
	}
	return file, nil
}

var (
	heading  = regexp.MustCompile(`^#{1,6} +(.*?) *$`)
	explicit = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are what links to a page can name: those that GitHub makes of headings, and explicit ones.
func anchors(page string) []string {
	var found []string
	seen := map[string]int{}
	for _, line := range prose(page) {
		if h := heading.FindStringSubmatch(line); h != nil {
			anchor := slug(linkText.ReplaceAllString(h[1], "$1"))
			if n := seen[anchor]; n > 0 {
				found = append(found, fmt.Sprintf("%s-%d", anchor, n))
			} else {
				found = append(found, anchor)
			}
			seen[anchor]++
		}
	}
	for _, m := range explicit.FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// slug is what GitHub makes of a heading: lower case, spaces as hyphens, punctuation dropped.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func TestFollow(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"README.md":   "# Top\n",
		"docs/a.md":   "# A `b.c` page?\n\n## The same\n\n## The same\n\n## [A link](x.md) in it\n\n```\n## code\n```\n| <a id=\"row-1\"></a>`x` |\n",
		"docs/x/y.go": "package y\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for target, works := range map[string]bool{
		"a.md": true, "../README.md#top": true, "#a-bc-page": true, "#the-same": true, "#the-same-1": true, "#a-link-in-it": true,
		"#row-1": true, "x": true, "x/y.go": true,
		"b.md": false, "README.md": false, "#the-same-2": false, "#code": false, "../README.md#row-1": false,
	} {
		if _, err := follow(root, "docs/a.md", target); (err == nil) != works {
			t.Errorf("%s: error %v, want one: %v", target, err, !works)
		}
	}
	got := links("[a](b.md#c) and `[x](y.md)` and [`z`](w.md)\n```\n[q](r.md)\n```\n[far](https://example.com)\n")
	if want := []link{{1, "b.md#c"}, {1, "w.md"}}; !slices.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
}
