package buildcontext

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folder makes files, each with its name as content; a name with " -> " is a symlink, one with ": " has another content.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		file, content, has := strings.Cut(link, ": ")
		if !has {
			content = file
		}
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func list(t *testing.T, o Options) ([]string, error) {
	t.Helper()
	spec, err := List(o)
	if err != nil {
		return nil, err
	}
	var got []string
	for _, m := range spec.Mappings {
		got = append(got, m.Dest)
	}
	slices.Sort(got)
	return got, nil
}

func TestList(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		o     Options // relative to the folder
		want  []string
	}{
		{"all", []string{"Dockerfile", "a", "d/b", ".hidden"}, Options{Dockerfile: "Dockerfile", Dir: "."},
			[]string{"context/.hidden", "context/Dockerfile", "context/a", "context/d/b", "dockerfile/Dockerfile"}},
		{"ignored", []string{"Dockerfile", ".dockerignore: node_modules\n*.log\n!keep.log\n.dockerignore", "a.log", "keep.log",
			"node_modules/x/y", "sub/node_modules"}, Options{Dockerfile: "Dockerfile", Dir: "."},
			[]string{"context/.dockerignore", "context/Dockerfile", "context/keep.log", "context/sub/node_modules", "dockerfile/Dockerfile"}},
		{"taken back", []string{"Dockerfile", ".dockerignore: docs\n!docs/keep", "docs/a", "docs/keep"}, Options{Dockerfile: "Dockerfile", Dir: "."},
			[]string{"context/.dockerignore", "context/Dockerfile", "context/docs/keep", "dockerfile/Dockerfile"}},
		{"its own", []string{"build/web.Dockerfile", "build/web.Dockerfile.dockerignore: src/b", "app/.dockerignore: src/a", "app/src/a", "app/src/b"},
			Options{Dockerfile: "build/web.Dockerfile", Dir: "app"},
			[]string{"context/.dockerignore", "context/src/a", "dockerfile/web.Dockerfile", "dockerfile/web.Dockerfile.dockerignore"}},
		{"symlinks", []string{"Dockerfile", "d/f", "file -> d/f", "folder -> d", ".dockerignore: gone", "gone -> nowhere"},
			Options{Dockerfile: "Dockerfile", Dir: "."},
			[]string{"context/.dockerignore", "context/Dockerfile", "context/d/f", "context/file", "context/folder/f", "dockerfile/Dockerfile"}},
		{"left by killed builds", []string{"Dockerfile", ".web.fledge-17/web.img", "sub/.fledge.lock.fledge-18", ".web.fledge/a"},
			Options{Dockerfile: "Dockerfile", Dir: "."}, []string{"context/.web.fledge/a", "context/Dockerfile", "dockerfile/Dockerfile"}},
		{"outputs", []string{"Dockerfile", "web.img", "sub/web.img"}, Options{Dockerfile: "Dockerfile", Dir: ".", Exclude: []string{"web.img"}},
			[]string{"context/Dockerfile", "context/sub/web.img", "dockerfile/Dockerfile"}},
		{"the cache", []string{"Dockerfile", "cache/blobs/a", "cache/keep", ".dockerignore: cache\n!cache/keep"},
			Options{Dockerfile: "Dockerfile", Dir: ".", Exclude: []string{"cache"}},
			[]string{"context/.dockerignore", "context/Dockerfile", "dockerfile/Dockerfile"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(folder(t, c.files...))
			got, err := list(t, c.o)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestListErrors(t *testing.T) {
	dir := folder(t, "Dockerfile", "dangling/x -> nowhere", "loop/in/back -> ..", "ignore/.dockerignore: [", "file")
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dockerfile, context, want string }{
		{"missing", "empty", "missing: no such file"},
		{"empty", "empty", "it is a folder; name the file in it"},
		{"Dockerfile", "missing", "build context: stat "},
		{"Dockerfile", "file", "file: it is no folder"},
		{"Dockerfile", "dangling", "dangling/x: no such file or directory; name it in .dockerignore"},
		{"Dockerfile", "loop", "loop/in/back: the symlink leads back to a folder that it is in"},
		{"Dockerfile", "ignore", ".dockerignore: "},
	} {
		_, err := list(t, Options{Dockerfile: filepath.Join(dir, c.dockerfile), Dir: filepath.Join(dir, c.context)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: error %v, want %q", c.dockerfile, c.context, err, c.want)
		}
	}
}
