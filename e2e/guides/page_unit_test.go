package guides

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	page := strings.ReplaceAll(`# A page

<!-- file: a/BUILD.bazel -->
'''starlark
load("x")

'''
'''console
$ one \
    more
$ two
…
  two…
'''
<!-- fails -->
'''console
$ false
'''
<!-- not run: no end -->
'''console
anything
'''
`, "'''", "```")
	got, err := parse(page)
	if err != nil {
		t.Fatal(err)
	}
	want := []*block{
		{line: 4, file: "a/BUILD.bazel", text: "load(\"x\")\n\n"},
		{line: 8, text: "$ one \\\n    more\n$ two\n…\n  two…\n", steps: []step{
			{line: 9, command: "one \\\n    more"},
			{line: 11, command: "two", output: []string{"…", "  two…"}},
		}},
		{line: 16, text: "$ false\n", fails: true, steps: []step{{line: 17, command: "false"}}},
		{line: 20, text: "anything\n", notRun: "no end"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(block{}, step{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for page, want := range map[string]string{
		"'''console\n$ one\n":                          "1: the block has no end",
		"'''console\none\n'''\n":                       "2: a block of commands begins with one",
		"text\n'''starlark\n'''\n":                     "2: the line before a \"starlark\" block",
		"<!-- file: x -->\n\n'''toml\n'''\n":           "3: the line before a \"toml\" block",
		"<!-- fails -->\n'''toml\n'''\n":               "2: the line before a \"toml\" block",
		"<!-- not run -->\n'''text\n'''\n":             "2: the line before a \"text\" block",
		"text\n\n    indented\n":                       "3: an indented block",
		"<!-- file: x -->\n'''console\n$ one\n'''\n":   "2: the line before a \"console\" block",
		"<!-- not run: -->\n'''console\n$ one\n'''\n'": "2: the line before",
	} {
		_, err := parse(strings.ReplaceAll(page, "'''", "```"))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", page, err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		want           string // of the error
	}{
		{"", "anything\n", ""},
		{"one\ntwo", "one\ntwo\n", ""},
		{"one\ntwo", "one\ntwo", ""},
		{"one…", "one, two\n", ""},
		{"…\ntwo", "one\none\ntwo\n", ""},
		{"…\ntwo", "two\n", ""},
		{"…\ntwo\n…", "one\ntwo\nthree\n", ""},
		{"a.c", "abc\n", "printed:\n    a.c"},
		{"…\ntwo", "two\nthree\n", "more was printed"},
		{"one\nthree", "one\ntwo\nthree\n", "printed:\n    three"},
		{"…\ntwo\none", "one\ntwo\n", "printed:\n    one"},
	} {
		var shown []string
		if c.shown != "" {
			shown = strings.Split(c.shown, "\n")
		}
		err := compare(shown, c.printed)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: error %v, want %q", c.shown, c.printed, err, c.want)
		}
	}
}
