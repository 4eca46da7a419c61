package migrate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
	sumC = strings.Repeat("c", 64)
)

const (
	oci     = "version = \"1\"\nstrategy = \"oci_rootfs\"\n"
	cpio    = "version = \"1\"\nstrategy = \"initramfs\"\n"
	kestrel = "[agent]\nsource_strategy = \"release\"\nversion = \"latest\"\n"
	nginx   = "[source]\nimage = \"nginx:alpine\"\n"
	squash  = "[filesystem]\n"
)

// locked pins what the cases have.
func locked() *lockfile.Lock {
	l := &lockfile.Lock{}
	l.SetAgent("release https://github.com/volantvm/volant latest", "v0.7.3", "amd64", sumA)
	l.SetAgent("release https://github.com/volantvm/volant latest", "v0.7.3", "arm64", sumB)
	l.SetAgent("release https://git.example.com/me/volant v1", "v1", "amd64", sumC)
	l.SetAgent("https://example.com/{arch}/kestrel", "", "amd64", sumC)
	l.SetImage("docker://docker.io/library/nginx:alpine", "sha256:"+sumA)
	l.SetBusybox("https://example.com/busybox", sumB)
	return l
}

// bases pins images of Dockerfiles.
func bases(refs ...string) *lockfile.Lock {
	l := locked()
	l.Images = nil
	for _, ref := range refs {
		l.SetImage("docker://"+ref, "sha256:"+sumB)
	}
	return l
}

// tree makes a folder: path to content; a leading star in the path makes the file executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		bare, executable := strings.CutPrefix(name, "*")
		mode := os.FileMode(0o644)
		if executable {
			mode = 0o755
		}
		path := filepath.Join(dir, bare)
		if strings.HasSuffix(bare, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plan migrates a folder with a recipe.
func plan(t *testing.T, dir, src string, lock *lockfile.Lock) (*Plan, error) {
	t.Helper()
	r, err := recipe.Parse(filepath.Join(dir, "fledge.toml"), []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Recipe: r, Manifest: filepath.Join(dir, "manifest.toml"), Lock: lock,
		LockFile: filepath.Join(dir, lockfile.Name)})
}

// cases are recipes, whose BUILD and MODULE files are in testdata/NAME.golden.
var cases = []struct {
	name, src string
	lock      *lockfile.Lock
	files     map[string]string
}{
	{"image", oci + kestrel + nginx + squash, locked(), nil},
	{"image_options", oci + kestrel + nginx + "[filesystem]\ncompression_level = 19\noverlay_size = \"512M\"\n[mappings]\n" +
		"site = \"/usr/share/nginx/html\"\n\"./nginx.conf\" = \"/etc/nginx/\"\n\"bin/probe\" = \"/usr/local/bin/probe\"\n" +
		"\"hook.sh\" = \"/docker-entrypoint.d/hook.sh\"\n\"@odd\" = \"/odd\"\n\"libs/\" = \"/usr/lib/app/\"\n", locked(),
		map[string]string{"site/index.html": "", "site/css/a.css": "", "*site/cgi/run": "", "nginx.conf": "", "*bin/probe": "",
			"*hook.sh": "", "@odd": "", "libs/a.so.1": "", "*libs/b.so": "", "*libs/tool": ""}},
	{"filesystem_ext4", oci + kestrel + nginx + "[filesystem]\ntype = \"ext4\"\nsize_buffer_mb = 512\npreallocate = true\njournal = true\n", locked(), nil},
	{"filesystem_xfs", oci + kestrel + nginx + "[filesystem]\ntype = \"xfs\"\npreallocate = false\noverlay_size = \"64M\"\n", locked(), nil},
	{"filesystem_verity", oci + kestrel + nginx + "[filesystem]\ncompression_level = 9\nverity = true\nverity_root_hash = \"initramfs\"\n", locked(), nil},
	{"filesystem_verity_cmdline", oci + kestrel + nginx + "[filesystem]\ntype = \"erofs\"\nverity = true\nverity_root_hash = \"cmdline\"\n", locked(), nil},
	{"image_roots", oci + kestrel + nginx + squash + "[mappings]\nroot = \"/\"\nmotd = \"/\"\none = \"/srv/one\"\n" +
		"\"nginx-rootfs\" = \"/srv/two\"\n", locked(),
		map[string]string{"root/etc/motd": "", "*root/srv/run": "", "motd": "", "one/a/b": "", "nginx-rootfs/a": "", "nginx-rootfs/b": ""}},
	{"image_digest", oci + kestrel + "[source]\nimage = \"docker://ghcr.io/me/config@sha256:" + sumC + "\"\n" + squash, locked(), nil},
	{"agent_fork", oci + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\nrepository = \"https://git.example.com/me/volant\"\n" +
		nginx + squash, locked(), nil},
	{"agent_http", oci + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/{arch}/kestrel\"\n" + nginx + squash, locked(), nil},
	{"agent_checksum", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/kestrel\"\nchecksum = \"" + sumA + "\"\n",
		nil, nil},
	{"agent_local", cpio + "[agent]\nsource_strategy = \"local\"\npath = \"out/kestrel\"\n", nil, map[string]string{"*out/kestrel": ""}},
	{"layout", oci + kestrel + "[source]\nimage = \"oci:build/app:v1\"\n" + squash, locked(),
		map[string]string{"build/app/oci-layout": "{}", "build/app/index.json": `{"manifests":[{}]}`, "build/app/blobs/sha256/00": ""}},
	{"archive", oci + kestrel + "[source]\nimage = \"oci-archive:app.tar\"\n" + squash, locked(), map[string]string{"app.tar": ""}},
	{"kernel", cpio + "[kernel]\nmodules = \"lib/modules/6.1\"\nconfig = \"./boot/config-6.1\"\n", locked(),
		map[string]string{"lib/modules/6.1/modules.builtin": "", "lib/modules/6.1/build/Makefile": "", "boot/config-6.1": ""}},
	{"initramfs", cpio + "[source]\nbusybox_url = \"https://example.com/busybox\"\n[mappings]\n\"./myapp\" = \"/usr/bin/myapp\"\n",
		locked(), map[string]string{"*myapp": ""}},
	{"init_path", cpio + "[init]\npath = \"/usr/local/bin/my-init.sh\"\n[mappings]\n\"./my-init.sh\" = \"/usr/local/bin/my-init.sh\"\n",
		nil, map[string]string{"*my-init.sh": ""}},
	{"init_none", cpio + "[init]\nnone = true\n[mappings]\n\"./supervisor\" = \"/init\"\n", nil, map[string]string{"*supervisor": ""}},
	{"dockerfile", oci + kestrel + "[source]\ndockerfile = \"./Dockerfile\"\nbuild_args = { B = \"2\", A = \"1\" }\ntarget = \"app\"\n" + squash,
		bases("docker.io/library/alpine:3.22"), map[string]string{"Dockerfile": "FROM alpine:3.22 AS app\nCOPY . /\n",
			"a.txt": "", "src/main.go": "", "src/vendor/x/x.go": "", "src/vendor/y.go": "", "web/node_modules/x": "", "web/i.html": "",
			".dockerignore": "node_modules\n**/node_modules\nsrc/vendor\n", "fledge.lock": "", "myapp.img": "", "BUILD.bazel": ""}},
	{"dockerfile_modes", cpio + "[source]\ndockerfile = \"docker/app.Dockerfile\"\ncontext = \".\"\n",
		bases("docker.io/library/alpine:3.22", "docker.io/library/golang:latest", "ghcr.io/me/alpine:3.22"),
		map[string]string{"docker/app.Dockerfile": "# FROM nowhere\nARG V=1\nfrom --platform=linux/amd64 golang AS build\n" +
			"FROM ghcr.io/me/alpine:3.22 as fat\nFROM build\nFROM ${V}\nFROM scratch\nCOPY --from=alpine:3.22 / /\n",
			"docker/app.Dockerfile.dockerignore": "", "*run.sh": ""}},
	{"dockerfile_folder", cpio + "[source]\ndockerfile = \"app/Dockerfile\"\n", bases(),
		map[string]string{"app/Dockerfile": "FROM scratch\nCOPY bin /bin\n", "*app/bin/a": ""}},
	{"dockerfile_alone", cpio + "[source]\ndockerfile = \"app/Dockerfile\"\n", bases(), map[string]string{"app/Dockerfile": "FROM scratch\n"}},
}

const manifestTOML = "name = \"myapp\"\nversion = \"1\"\n"

func TestGolden(t *testing.T) {
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			if err := os.WriteFile(filepath.Join(dir, "manifest.toml"), []byte(manifestTOML), 0o644); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(tt.name, "dockerfile") { // is a file of the context then
				if err := os.WriteFile(filepath.Join(dir, "fledge.toml"), []byte(tt.src), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p, err := plan(t, dir, tt.src, tt.lock)
			if err != nil {
				t.Fatal(err)
			}
			targets, err := p.Build("BUILD.bazel", nil)
			if err != nil {
				t.Fatal(err)
			}
			module, err := p.Module("MODULE.bazel", nil)
			if err != nil {
				t.Fatal(err)
			}
			checkFormat(t, build.ParseBuild, "BUILD.bazel", targets)
			checkFormat(t, build.ParseModule, "MODULE.bazel", module)
			got := fmt.Sprintf("# BUILD.bazel\n%s\n# MODULE.bazel\n%s", targets, module)
			file := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
			// Once more changes nothing.
			if again, err := p.Build("BUILD.bazel", targets); err != nil || string(again) != string(targets) {
				t.Errorf("once more gives\n%s\n%v", again, err)
			}
			if again, err := p.Module("MODULE.bazel", module); err != nil || string(again) != string(module) {
				t.Errorf("once more gives\n%s\n%v", again, err)
			}
		})
	}
}

// checkFormat wants a file as buildifier has it.
func checkFormat(t *testing.T, parse func(string, []byte) (*build.File, error), name string, src []byte) {
	t.Helper()
	f, err := parse(name, src)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(build.Format(f)), string(src)); d != "" {
		t.Errorf("%s is not as buildifier formats it:\n%s", name, d)
	}
}
