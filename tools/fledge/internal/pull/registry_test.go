package pull

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

func TestRegistry(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	x86, arm := randomImage(t, "amd64", 100_000, 3), randomImage(t, "arm64", 1000, 2)
	index := newIndex(t, arm, x86)
	ref := r.push(t, "team/app:1", index)
	c, _ := newClient(t)
	var told []Progress
	c.Progress = func(p Progress) { told = append(told, p) }

	digest, err := c.Resolve(t.Context(), mustParse(t, ref), amd64)
	want := strings.TrimSpace(skopeo(t, "inspect", "--tls-verify=false", "--format={{.Digest}}", "docker://"+ref))
	if err != nil || digest != want {
		t.Fatalf("resolved to %s, want %s: %v", digest, want, err)
	}
	im := mustPull(t, c, ref, "", amd64)
	if im.Digest != digest || im.Layout != "" {
		t.Errorf("digest %s, layout %q", im.Digest, im.Layout)
	}
	checkLayers(t, im, x86)
	checkLayers(t, mustPull(t, c, ref, "", "linux/arm64"), arm)
	last := told[len(told)-1]
	if last.Reference != "docker://"+ref || last.Done != last.Total || last.Total == 0 || last.Cached {
		t.Errorf("progress %+v", last)
	}

	mustFail(t, c, ref, "", "linux/riscv64", "the index has no linux/riscv64; it has linux/arm64, linux/amd64")
	single := r.push(t, "team/single:1", x86)
	mustFail(t, c, single, "", "linux/arm64", "the image is for linux/amd64, not for linux/arm64")
	checkLayers(t, mustPull(t, c, single, "", amd64), x86)

	r.Stop()
	c.Transport = noNetwork{t}
	told = nil
	checkLayers(t, mustPull(t, c, ref, digest, amd64), x86)
	checkLayers(t, mustPull(t, c, r.Addr+"/team/app@"+digest, "", amd64), x86)
	for _, p := range told {
		if !p.Cached {
			t.Errorf("not from the cache: %+v", p)
		}
	}
	mustFail(t, c, r.Addr+"/team/app@"+digest, "sha256:"+strings.Repeat("0", 64), amd64, "was pinned to sha256:0000")
}

func TestRegistryErrors(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	ref := r.push(t, "team/app:1", randomImage(t, "amd64", 1000, 1))
	c, notes := newClient(t)
	mustFail(t, c, r.Addr+"/team/app:2", "", amd64, "registry:    "+r.Addr, "repository:  team/app", "tag:         2",
		"404 Not Found", "MANIFEST_UNKNOWN", "skopeo list-tags docker://"+r.Addr+"/team/app", "credentials: none; looked in ")
	zero := "sha256:" + strings.Repeat("0", 64)
	mustFail(t, c, ref, zero, amd64, "digest:      "+zero, "no such digest")
	if notes.Len() > 0 {
		t.Errorf("tried again: %s", notes)
	}
	r.Stop()
	mustFail(t, c, ref, "", amd64, "connection refused", "is the network there?")
	if n := strings.Count(notes.String(), "trying again"); n != 2 {
		t.Errorf("tried again %d times: %s", n, notes)
	}
}

// TestAltered: a registry whose storage has changed, which docker-registry does not notice.
func TestAltered(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	image := randomImage(t, "amd64", 1000, 1)
	ref := r.push(t, "app:1", image)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOfImage(t, layers[0])
	hex := strings.TrimPrefix(digest, "sha256:")
	alter(t, filepath.Join(r.Storage, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"))
	c, _ := newClient(t)
	mustFail(t, c, ref, "", amd64, "no layer", digest, "has altered or cut it")
	if _, err := os.Stat(c.blobFile(digest)); err == nil {
		t.Error("the altered layer is in the cache")
	}
}

// alter changes a byte of a file.
func alter(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	write(t, path, string(data))
}

func TestDamagedCache(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	image := randomImage(t, "amd64", ocilayout.MaxJSON+1000, 2) // more than what is checked at once
	ref := r.push(t, "app:1", image)
	c, notes := newClient(t)
	im := mustPull(t, c, ref, "", amd64)

	alter(t, im.Layers[1].File)
	if err := os.Truncate(im.Layers[0].File, 10); err != nil {
		t.Fatal(err)
	}
	alter(t, im.ConfigFile)
	alter(t, c.blobFile(im.Digest))
	again := mustPull(t, c, ref, im.Digest, amd64)
	checkLayers(t, again, image)
	if !strings.Contains(notes.String(), "is damaged; fetching it anew") {
		t.Errorf("notes: %s", notes)
	}

	alter(t, im.Layers[1].File)
	r.Stop()
	if f, err := im.Layers[1].Open(); err == nil {
		f.Close()
		t.Error("opened a damaged layer")
	}
}

// TestSideBySide: several clients, as of several processes, fill one cache at once.
func TestSideBySide(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	image := randomImage(t, "amd64", 2_000_000, 3)
	ref := mustParse(t, r.push(t, "app:1", image))
	cache := t.TempDir()
	var wg sync.WaitGroup
	images := make([]*Image, 4)
	errs := make([]error, len(images))
	for i := range images {
		wg.Go(func() {
			c, _ := newClient(t)
			c.Cache = cache
			images[i], errs[i] = c.Pull(t.Context(), ref, "", amd64)
		})
	}
	wg.Wait()
	for i, im := range images {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		checkLayers(t, im, image)
		im.Close()
	}
	left, err := filepath.Glob(filepath.Join(cache, "partial", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// login is a user's set-up of credentials; ADDR stands for the registry.
type login struct {
	files  map[string]string // below HOME
	helper string            // what docker-credential-test prints
	env    map[string]string // HOME stands for itself
	fails  []string
}

func logins() map[string]login {
	basic := fmt.Sprintf(`{"username": %q, "password": %q}`, user, password)
	wrong := `{"username": "robot", "password": "wrong"}`
	docker := func(content string) map[string]string { return map[string]string{".docker/config.json": content} }
	return map[string]login{
		"none": {fails: []string{"401 Unauthorized", "none; looked in ",
			"/.docker/config.json: no such file", "`docker login "}},
		"docker":       {files: docker(`{"auths": {"ADDR": ` + basic + `}}`)},
		"with a path":  {files: docker(`{"auths": {"http://ADDR/v2/": ` + basic + `}}`)},
		"a repository": {files: docker(`{"auths": {"ADDR/team": ` + basic + `, "ADDR": ` + wrong + `}}`)},
		"another repository": {
			files: docker(`{"auths": {"ADDR/other": ` + basic + `}}`),
			fails: []string{"config.json: no entry for 127.0.0.1:"},
		},
		"wrong": {
			files: docker(`{"auths": {"ADDR": ` + wrong + `}}`),
			fails: []string{"401 Unauthorized", "those of ", "/.docker/config.json", "these credentials are wrong"},
		},
		"damaged": {
			files: docker(`{"auths": {"ADDR": {"auth": "` + password + `"}}}`[1:]),
			fails: []string{"it is not the JSON of a config.json"},
		},
		"DOCKER_CONFIG": {
			files: map[string]string{"elsewhere/config.json": `{"auths": {"ADDR": ` + basic + `}}`},
			env:   map[string]string{"DOCKER_CONFIG": "HOME/elsewhere"},
		},
		"podman": {
			files: map[string]string{"run/containers/auth.json": `{"auths": {"ADDR": ` + basic + `}}`},
			env:   map[string]string{"XDG_RUNTIME_DIR": "HOME/run"},
		},
		"REGISTRY_AUTH_FILE": {
			files: map[string]string{"auth.json": `{"auths": {"ADDR/team/app": ` + basic + `}}`},
			env:   map[string]string{"REGISTRY_AUTH_FILE": "HOME/auth.json"},
		},
		"helper": {
			files:  docker(`{"credHelpers": {"ADDR": "test"}, "auths": {"ADDR": {}}}`),
			helper: fmt.Sprintf(`{"ServerURL": "ADDR", "Username": %q, "Secret": %q}`, user, password),
		},
		"helper for all": {
			files:  docker(`{"credsStore": "test"}`),
			helper: fmt.Sprintf(`{"Username": %q, "Secret": %q}`, user, password),
		},
		"helper without": {
			files:  docker(`{"credsStore": "test", "auths": {"ADDR": ` + basic + `}}`),
			helper: "credentials not found in native keychain",
		},
		"helper that fails": {
			files:  docker(`{"credsStore": "test"}`),
			helper: "no JSON",
			fails:  []string{"docker-credential-test printed no JSON"},
		},
		"no such helper": {
			files: docker(`{"credsStore": "nowhere"}`),
			fails: []string{`"docker-credential-nowhere" is not on PATH`},
		},
	}
}

func TestCredentials(t *testing.T) {
	r := startRegistry(t, true)
	image := randomImage(t, "amd64", 1000, 1)
	ref := r.push(t, "team/app:1", image)
	for name, tt := range logins() {
		t.Run(name, func(t *testing.T) {
			home := isolate(t)
			for path, content := range tt.files {
				write(t, filepath.Join(home, path), strings.ReplaceAll(content, "ADDR", r.Addr))
			}
			for name, value := range tt.env {
				t.Setenv(name, strings.ReplaceAll(value, "HOME", home))
			}
			if tt.helper != "" {
				installHelper(t, r.Addr, strings.ReplaceAll(tt.helper, "ADDR", r.Addr))
			}
			c, _ := newClient(t)
			if tt.fails != nil {
				mustFail(t, c, ref, "", amd64, tt.fails...)
				return
			}
			checkLayers(t, mustPull(t, c, ref, "", amd64), image)
		})
	}
}

// installHelper puts a credential helper on PATH that answers to a registry's name alone. It ends like the real ones: an
// answer without JSON has exit code 1.
func installHelper(t *testing.T, addr, answer string) {
	t.Helper()
	dir := t.TempDir()
	code := 0
	if strings.HasPrefix(answer, "credentials not found") {
		code = 1
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = %q ] || exit 3\ncat <<'END'\n%s\nEND\nexit %d\n",
		addr, answer, code)
	write(t, filepath.Join(dir, "docker-credential-test"), script)
	if err := os.Chmod(filepath.Join(dir, "docker-credential-test"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}
