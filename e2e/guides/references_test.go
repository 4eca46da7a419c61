package guides

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/toolrun"
)

// The references of rules, commands and keys are compared where they are made: //docs:rules_test and //docs:extension_test,
// tools/fledge, internal/recipe and internal/manifest. Here is what these do not see.

func parsed(t *testing.T, name string) *build.File {
	t.Helper()
	path := filepath.Join(toolrun.Repository(), name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := build.Parse(path, text)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(toolrun.Repository(), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFlags compares the build settings with the table of docs/settings.md.
func TestFlags(t *testing.T) {
	var flags []string
	text := page(t, "settings.md")
	for _, rule := range parsed(t, "fledge/settings/BUILD.bazel").Rules("") {
		if kind, ok := strings.CutSuffix(rule.Kind(), "_flag"); ok {
			flags = append(flags, fmt.Sprintf("| `%s` | %s | `%s` |", rule.Name(), kind, build.FormatString(rule.Attr("build_setting_default"))))
		}
		for _, value := range rule.AttrStrings("values") {
			if !strings.Contains(text, "`"+value+"`") {
				t.Errorf("docs/settings.md does not have the value %q of %s", value, rule.Name())
			}
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `[a-z_]+` \\| (?:bool|int|string) \\| `[^`]*` \\|").FindAllString(text, -1)
	slices.Sort(flags)
	slices.Sort(rows)
	if diff := cmp.Diff(flags, rows); diff != "" {
		t.Errorf("docs/settings.md (-flags +page):\n%s", diff)
	}
	for _, folder := range []string{"constraints", "toolchains"} {
		for _, rule := range parsed(t, "fledge/"+folder+"/BUILD.bazel").Rules("") {
			if rule.Kind() != "constraint_setting" && rule.Name() != "" && !strings.Contains(text, "`"+rule.Name()+"`") {
				t.Errorf("docs/settings.md does not have //fledge/%s:%s", folder, rule.Name())
			}
		}
	}
}

// TestOutputGroups looks for each output group in the reference of its rule, which is in the file of the rule's name.
func TestOutputGroups(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(toolrun.Repository(), "fledge/private/*.bzl"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		name := filepath.Base(file)
		rule := "fledge_" + strings.TrimSuffix(name, ".bzl")
		build.Walk(parsed(t, "fledge/private/"+name), func(e build.Expr, _ []build.Expr) {
			call, ok := e.(*build.CallExpr)
			if !ok || build.FormatString(call.X) != "OutputGroupInfo" {
				return
			}
			for _, argument := range call.List {
				group, ok := argument.(*build.AssignExpr)
				if !ok {
					continue // groups of a dict, whose rule's docstring is all there is
				}
				found++
				if key := "`" + build.FormatString(group.LHS) + "`"; !strings.Contains(section(page(t, "rules.md"), rule), key) {
					t.Errorf("docs/rules.md does not have the output group %s of %s: add it to the rule's docstring", key, rule)
				}
			}
		})
	}
	if found < 10 {
		t.Errorf("only %d output groups found", found)
	}
}

// section is what a page has below a heading, up to the attributes.
func section(page, heading string) string {
	_, text, _ := strings.Cut(page, "\n## "+heading+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	text, _, _ = strings.Cut(text, "\n| attribute |")
	return text
}

// TestPublicSymbols looks for each symbol of fledge/defs.bzl and each tag of the extension in the references: docgen could leave
// some out.
func TestPublicSymbols(t *testing.T) {
	for _, statement := range parsed(t, "fledge/defs.bzl").Stmt {
		if symbol, ok := statement.(*build.AssignExpr); ok {
			if name := build.FormatString(symbol.LHS); !strings.Contains(page(t, "rules.md"), "\n## "+name+"\n") {
				t.Errorf("docs/rules.md has no section %s", name)
			}
		}
	}
	tags := 0
	build.Walk(parsed(t, "fledge/extensions.bzl"), func(e build.Expr, _ []build.Expr) {
		argument, ok := e.(*build.AssignExpr)
		if !ok || build.FormatString(argument.LHS) != "tag_classes" {
			return
		}
		for _, entry := range argument.RHS.(*build.DictExpr).List {
			tags++
			if name := entry.Key.(*build.StringExpr).Value; !strings.Contains(page(t, "extension.md"), "\n## fledge."+name+"\n") {
				t.Errorf("docs/extension.md has no section fledge.%s", name)
			}
		}
	})
	if tags == 0 {
		t.Error("fledge/extensions.bzl has no tags")
	}
}
