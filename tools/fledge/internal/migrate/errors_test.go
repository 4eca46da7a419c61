package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

const m = "manifest.toml"

// unfit are recipes that cannot go over, with all messages; DIR stands for their folder.
var unfit = []struct {
	name, src string
	lock      *lockfile.Lock
	files     map[string]string
	want      string
}{
	{"nothing is locked", oci + kestrel + nginx + squash, nil, map[string]string{m: manifestTOML},
		"DIR/fledge.toml: image nginx:alpine is not in DIR/fledge.lock, and Bazel takes what is pinned alone: run fledge build first\n" +
			"DIR/fledge.toml: agent latest of https://github.com/volantvm/volant is not in DIR/fledge.lock, and Bazel takes what is " +
			"pinned alone: run fledge build first"},
	{"busybox and agent that are not locked", cpio + "[source]\nbusybox_url = \"https://example.com/b\"\n[agent]\n" +
		"source_strategy = \"http\"\nurl = \"https://example.com/k\"\n", locked(), map[string]string{m: manifestTOML},
		"DIR/fledge.toml: busybox https://example.com/b is not in DIR/fledge.lock, and Bazel takes what is pinned alone: run fledge " +
			"build first\n" +
			"DIR/fledge.toml: agent https://example.com/k is not in DIR/fledge.lock, and Bazel takes what is pinned alone: run fledge " +
			"build first"},
	{"no manifest", oci + kestrel + nginx + squash, locked(), nil,
		"DIR/fledge.toml: there is no DIR/manifest.toml, and the rules need it: write one with name = \"nginx\" and version = \"1.0.0\""},
	{"manifest without a name", oci + kestrel + nginx + squash, locked(), map[string]string{m: "version = \"1\"\n"},
		"DIR/manifest.toml: it has no name, and the rules need it: add name = \"nginx\""},
	{"daemon", oci + kestrel + "[source]\nimage = \"docker-daemon:app:1\"\n" + squash, locked(), map[string]string{m: manifestTOML},
		"DIR/fledge.toml: source.image: Bazel does not ask a daemon; run docker save -o image.tar app:1 and write image = " +
			"\"docker-archive:image.tar\""},
	{"no layout", oci + kestrel + "[source]\nimage = \"oci:app\"\n" + squash, locked(), map[string]string{m: manifestTOML},
		"DIR/fledge.toml: source.image: open DIR/app/index.json: no such file or directory"},
	{"layout of two", oci + kestrel + "[source]\nimage = \"oci:app:v1\"\n" + squash, locked(),
		map[string]string{m: manifestTOML, "app/index.json": `{"manifests":[{},{}]}`},
		"DIR/fledge.toml: source.image: app has 2 images, and the rules take one by its platform, not by its tag: " +
			"skopeo copy oci:app:v1 oci:OTHER makes a layout of one"},
	{"paths that leave the folder", oci + "[agent]\nsource_strategy = \"local\"\npath = \"/opt/kestrel\"\n" + nginx + squash +
		"[mappings]\n\"../app\" = \"/app\"\n", locked(), map[string]string{m: manifestTOML},
		"DIR/fledge.toml: agent.path: /opt/kestrel is not below the folder of the recipe, which becomes the Bazel package: move it there\n" +
			"DIR/fledge.toml: mappings: ../app: ../app is not below the folder of the recipe, which becomes the Bazel package: move it there"},
	{"context that leaves the folder", cpio + "[source]\ndockerfile = \"Dockerfile\"\ncontext = \"..\"\n", locked(),
		map[string]string{m: manifestTOML, "Dockerfile": "FROM scratch\n"},
		"DIR/fledge.toml: source.context: .. is not below the folder of the recipe, which becomes the Bazel package: move it there"},
	{"modules in a tar", cpio + "[kernel]\nmodules = \"m.tar\"\n", locked(),
		map[string]string{m: manifestTOML, "m.tar": ""},
		"DIR/fledge.toml: kernel.modules: m.tar has no modules.builtin: Bazel takes the files of lib/modules/RELEASE; unpack it if it " +
			"is a tar"},
	{"no configuration", cpio + "[kernel]\nconfig = \"boot/config\"\n", locked(), map[string]string{m: manifestTOML, "boot/x": ""},
		"DIR/fledge.toml: kernel.config: boot/config is not a file: name the .config of the kernel"},
	{"mappings that Bazel has no labels for", cpio + "[mappings]\n\"a:b\" = \"/a\"\n\"pkg/f\" = \"/b\"\nempty = \"/c\"\n\".\" = \"/d\"\n" +
		"gone = \"/e\"\nsub = \"/f\"\nx = \"/g\"\n\"./x\" = \"/h\"\n", locked(),
		map[string]string{m: manifestTOML, "a:b": "", "pkg/BUILD": "", "pkg/f": "", "empty/": "", "sub/a": "", "sub/deep/BUILD.bazel": "",
			"x": ""},
		"DIR/fledge.toml: mappings: a:b: Bazel takes no file called \"a:b\": rename it\n" +
			"DIR/fledge.toml: mappings: pkg/f: pkg/f is in a Bazel package of its own, for there is pkg/BUILD: move it out, or that away\n" +
			"DIR/fledge.toml: mappings: empty: the folder empty is empty, and Bazel has none such: put a file into it, or remove it\n" +
			"DIR/fledge.toml: mappings: .: the folder of the recipe has Bazel's own files too: move what is mapped into a folder of its own\n" +
			"DIR/fledge.toml: mappings: stat DIR/gone: no such file or directory\n" +
			"DIR/fledge.toml: mappings: sub: sub/deep/BUILD.bazel makes its folder a Bazel package of its own: rename it\n" +
			"DIR/fledge.toml: mappings: ./x: Bazel maps a label to one path, and this one goes to /g and /h: map a copy"},
	{"base image that is not locked", cpio + "[source]\ndockerfile = \"Dockerfile\"\n", bases("docker.io/library/alpine:3.22"),
		map[string]string{m: manifestTOML, "Dockerfile": "FROM golang AS build\nFROM alpine:3.22\nFROM build\nFROM Not_An_Image\n"},
		"DIR/fledge.toml: image golang of Dockerfile is not in DIR/fledge.lock, and Bazel takes what is pinned alone: run fledge build " +
			"first\n" +
			"DIR/fledge.toml: Dockerfile: FROM Not_An_Image: image \"docker://Not_An_Image\": invalid reference format: repository name " +
			"(library/Not_An_Image) must be lowercase; expected [HOST/]REPOSITORY[:TAG][@sha256:HEX], or another transport: docker://IMAGE " +
			"(or IMAGE alone), docker-daemon:NAME, oci:FOLDER, oci-archive:TAR and docker-archive:TAR"},
	{"packages in the context", cpio + "[source]\ndockerfile = \"Dockerfile\"\n", locked(),
		map[string]string{m: manifestTOML, "Dockerfile": "FROM scratch\n", "src/BUILD": "", "src/a/b": "", "web:1": ""},
		"DIR/fledge.toml: source.context: Bazel takes no file called \"web:1\": rename it\n" +
			"DIR/fledge.toml: source.context: src is a Bazel package of its own, for it has a BUILD: move that away, or name src in " +
			".dockerignore"},
	{"ignore file outside of the context", cpio + "[source]\ndockerfile = \"docker/Dockerfile\"\ncontext = \"app\"\n", bases(),
		map[string]string{m: manifestTOML, "docker/Dockerfile": "FROM scratch\n", "docker/Dockerfile.dockerignore": "", "app/a": "", "app/b": ""},
		"DIR/fledge.toml: source.dockerfile: Bazel takes docker/Dockerfile.dockerignore from the context alone, and it is not in it: " +
			"call it app/.dockerignore"},
	{"no Dockerfile", cpio + "[source]\ndockerfile = \"Dockerfile\"\n", locked(), map[string]string{m: manifestTOML},
		"DIR/fledge.toml: source.dockerfile: open DIR/Dockerfile: no such file or directory"},
}

func TestErrors(t *testing.T) {
	for _, tt := range unfit {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			_, err := plan(t, dir, tt.src, tt.lock)
			if d := cmp.Diff(tt.want, strings.ReplaceAll(fmt.Sprint(err), dir, "DIR")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestEdit puts a plan into files that have something already.
func TestEdit(t *testing.T) {
	dir := tree(t, map[string]string{"manifest.toml": manifestTOML, "site/a": "", "site/b": ""})
	p, err := plan(t, dir, oci+kestrel+nginx+squash+"[mappings]\nsite = \"/srv\"\n", locked())
	if err != nil {
		t.Fatal(err)
	}
	const targets = `# What we ship.

load("@fledge//fledge:defs.bzl", "fledge_layers")
load("@rules_go//go:def.bzl", "go_binary")

go_binary(name = "app")

# Ours.
fledge_rootfs(
    name = "nginx-rootfs",
    agent = "//old:agent",
    compression_level = 22,  # by an older recipe
    image = "@nginx_alpine",  # keep
    tags = ["manual"],
    visibility = ["//visibility:public"],
)
`
	got, err := p.Build("BUILD.bazel", []byte(targets))
	if err != nil {
		t.Fatal(err)
	}
	want := `# What we ship.

load("@fledge//fledge:defs.bzl", "fledge_layers", "fledge_rootfs")
load("@rules_go//go:def.bzl", "go_binary")

go_binary(name = "app")

# Ours.
fledge_rootfs(
    name = "nginx-rootfs",
    agent = "@kestrel",
    image = "@nginx_alpine",  # keep
    manifest = "manifest.toml",
    mappings = {":site": "/srv"},
    tags = ["manual"],
    visibility = ["//visibility:public"],
)

filegroup(
    name = "site",
    srcs = glob(["site/**"]),
)
`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
	const taken = "genrule(name = \"site\")\n"
	if _, err := p.Build("BUILD.bazel", []byte(taken)); err == nil ||
		err.Error() != `BUILD.bazel:1: "site" is a genrule, and it would be a filegroup: give that one another name` {
		t.Errorf("error %v", err)
	}
	for _, broken := range []string{"(", "bazel_dep("} {
		if _, err := p.Module("MODULE.bazel", []byte(broken)); err == nil {
			t.Errorf("%q is edited", broken)
		}
		if _, err := p.Build("BUILD.bazel", []byte(broken)); err == nil {
			t.Errorf("%q is edited", broken)
		}
	}
}

// TestModule puts tags into files that have something already.
func TestModule(t *testing.T) {
	dir := tree(t, map[string]string{"manifest.toml": manifestTOML})
	p, err := plan(t, dir, oci+kestrel+nginx+squash, locked())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ src, begin string }{
		{"module(name = \"me\")\n", "module(name = \"me\")\n\nbazel_dep(name = \"fledge\", version = \"0.1.0\")\n\nfledge = "},
		{"# c\nbazel_dep(name = \"a\", version = \"1\")  # d", "# c\nbazel_dep(name = \"a\", version = \"1\")  # d\n" +
			"bazel_dep(name = \"fledge\", version = \"0.1.0\")\n\nfledge = "},
		{"# only this\n", "bazel_dep(name = \"fledge\", version = \"0.1.0\")\n\n# only this\n\nfledge = "},
		{"bazel_dep(name = \"fledge\", version = \"0.2.0\", repo_name = \"f\")\n", "bazel_dep(name = \"fledge\", version = \"0.2.0\", " +
			"repo_name = \"f\")\n\nfledge = use_extension(\"@f//"},
	} {
		got, err := p.Module("MODULE.bazel", []byte(tt.src))
		if err != nil || !strings.HasPrefix(string(got), tt.begin) {
			t.Errorf("got\n%s\n%v\nwant it to begin with\n%s", got, err, tt.begin)
		}
	}
}

// TestModuleVersion compares the version that is written with that of Fledge's own MODULE.bazel.
func TestModuleVersion(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "MODULE.bazel"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("\n    version = %q,\n", ModuleVersion); !strings.Contains(strings.SplitAfter(string(raw), ")")[0], want) {
		t.Errorf("MODULE.bazel has no %s", want)
	}
}
