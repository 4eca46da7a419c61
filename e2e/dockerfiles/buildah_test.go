package dockerfiles

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// buildah is a storage with the base image, in the working folder.
var buildah = sync.OnceValues(func() ([]string, error) {
	base, err := makeBase()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(workDir, "buildah")
	program := []string{"buildah", "--storage-driver", "vfs", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}
	_, err = output(slices.Concat(program, []string{"pull", "-q", "oci:" + base.layout})...)
	if err != nil {
		return nil, err
	}
	names, err := output(slices.Concat(program, []string{"images", "-q"})...)
	if err != nil {
		return nil, err
	}
	_, err = output(slices.Concat(program, []string{"tag", strings.TrimSpace(names), "localhost/" + baseRef})...)
	return program, err
})

// TestBuildah has a builder that is not BuildKit build what both know.
func TestBuildah(t *testing.T) {
	harness.NeedSlow(t, "builds Dockerfiles twice")
	base := needBase(t)
	needRoot(t)
	imagetest.Need(t, "buildah", "runc")
	program, err := buildah()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range matrix {
		if !d.buildah {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			o := d.options(t, base)
			o.Program = embedded(t)
			layout, _ := fledge(t, o)
			got, want := readImage(t, layout), readImage(t, d.buildahBuild(t, program))
			got.History, want.History = nil, nil // each has a wording of its own
			want.Tree = slices.DeleteFunc(want.Tree, func(line string) bool { return buildahStub.MatchString(line) })
			got.Config, want.Config = plainConfig(t, got.Config), plainConfig(t, want.Config)
			compare(t, "buildah", want, got)
		})
	}
}

// buildahStub matches what buildah leaves behind where it mounts something for a step, and the folders of volumes.
var buildahStub = regexp.MustCompile(`^"(etc/hostname|etc/hosts|etc/resolv.conf|run|var/base)" `)

func (d dockerfile) buildahBuild(t *testing.T, program []string) (layout string) {
	t.Helper()
	dir := d.sources(t)
	args := slices.Concat(program, []string{
		"build", "--isolation", "oci", "--runtime", "runc", "--network", "none", "--pull-never", "--layers=false", "--format", "oci",
		"--identity-label=false", "-f", filepath.Join(dir, "Dockerfile"), "-t", "localhost/out",
	})
	if d.target != "" {
		args = append(args, "--target", d.target)
	}
	for _, name := range slices.Sorted(maps.Keys(d.args)) {
		args = append(args, "--build-arg", name+"="+d.args[name])
	}
	run(t, dir, args[0], append(args[1:], filepath.Join(dir, "context"))...)
	layout = filepath.Join(t.TempDir(), "layout")
	run(t, dir, program[0], append(slices.Clone(program[1:]), "push", "-q", "localhost/out", "oci:"+layout)...)
	return layout
}

// plainConfig takes away what means the same: what is empty or said by default, and the order of variables.
func plainConfig(t *testing.T, config map[string]any) map[string]any {
	t.Helper()
	out := map[string]any{}
	for key, value := range config {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		switch s := string(text); {
		case s == "null", s == `""`, s == "{}", s == "[]":
		case key == "WorkingDir" && s == `"/"`:
		case key == "ArgsEscaped": // of Windows
		default:
			out[key] = value
		}
	}
	if list, ok := out["Env"].([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	return out
}
