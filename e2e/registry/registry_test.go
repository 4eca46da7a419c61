// Package registry tests fledge.image against docker-registry, from a workspace that uses Fledge as its users do.
package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/registrytest"
)

// world is everything that the cases share: one Bazel server sees all images, each case builds its own.
type world struct {
	*consumer
	names, declarations []string
}

// declare adds an image to the workspace. The attributes are those of fledge.image.
func (w *world) declare(name string, attributes map[string]string) {
	w.names = append(w.names, name)
	line := fmt.Sprintf("fledge.image(\n    name = %q,\n", name)
	for _, key := range []string{"digest", "image", "platform"} {
		if value, ok := attributes[key]; ok {
			line += fmt.Sprintf("    %s = %q,\n", key, value)
		}
	}
	w.declarations = append(w.declarations, line+")")
}

// pinned declares an image by reference and digest.
func (w *world) pinned(name, reference string, b blob) {
	w.declare(name, map[string]string{"image": reference, "digest": b.digest()})
}

// asked is how an error tells what was asked of whom.
func asked(registry, repository string, b blob) []string {
	return []string{"registry:    " + registry, "repository:  " + repository, "digest:      " + b.digest()}
}

func requirePrograms(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") != "" {
		t.Skip("this test starts Bazel and docker-registry: run it with go test ./e2e/registry")
	}
	if testing.Short() {
		t.Skip("this test starts Bazel servers: run it without -short")
	}
	for _, program := range []string{"docker-registry", "htpasswd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%v (Debian: apt-get install docker-registry apache2-utils)", err)
		}
	}
	findBazel(t)
}

func TestImages(t *testing.T) {
	requirePrograms(t)
	w := &world{}
	id := registrytest.NewIdentity(t)
	open, private := startOpen(t), startWithPassword(t)
	tokenURL := registrytest.StartTokenServer(t, id)
	tokens := &server{registrytest.StartWithTokens(t, open.Server, id, tokenURL)}
	secure := &server{registrytest.StartWithTLS(t, open.Server, id)}

	cases := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Forms", w.forms(t, open)},
		{"DigestDecides", w.digestDecides(t, open)},
		{"Platforms", w.platforms(t, open)},
		{"Fetch", w.fetch(t, open)},
		{"Mirror", w.mirror(t, open)},
		{"NoDigest", w.noDigest(t, open, secure)},
		{"Credentials", w.credentials(t, private)},
		{"CredentialHelper", w.credentialHelper(t, private)},
		{"BazelCredentialHelper", w.bazelCredentialHelper(t, private)},
		{"Tokens", w.tokens(t, open, tokens)},
		{"NotFound", w.notFound(t, open)},
		{"WrongDigest", w.wrongDigest(t, open)},
		{"RateLimit", w.rateLimit(t, open)},
		{"WithoutRegistry", w.withoutRegistry(t)},
	}
	w.declarations = append(w.declarations, fmt.Sprintf(
		"fledge.registry(\n    host = %q,\n    service = %q,\n    token_url = %q,\n)", tokens.Addr, registrytest.TokenService, tokenURL))
	w.consumer = newConsumer(t, []string{"--host_jvm_args=-Djavax.net.ssl.trustStore=" + registrytest.TrustStore(t, id)},
		"rewrite mirrored.invalid/(.*) http://"+open.Addr+"/$1\n", w.names, w.declarations)
	for _, c := range cases {
		t.Run(c.name, c.run)
	}
	w.noSecretsLeft(t)
}

// forms: layers and config arrive as they were pushed, in OCI's and Docker's media types, with every compression.
func (w *world) forms(t *testing.T, s *server) func(*testing.T) {
	oci := newImage(t, "amd64", layer(t, ociLayer+"+gzip", "oci gzip"), layer(t, ociLayer+"+zstd", "oci zstd"),
		layer(t, ociLayer, "oci tar"), layer(t, ociLayer+"+gzip", "oci gzip"))
	docker := newImage(t, "amd64", layer(t, dockerLayer, "docker 1"), layer(t, dockerLayer, "docker 2"))
	w.pinned("oci", s.push(t, "forms/oci", "1", oci), oci.blob)
	w.pinned("docker", s.push(t, "forms/docker", "1", docker), docker.blob)
	return func(t *testing.T) {
		w.mustHave(t, "oci", oci)
		w.mustHave(t, "docker", docker)
	}
}

// digestDecides: the tag has moved on, and the digest still gives the image that was pinned.
func (w *world) digestDecides(t *testing.T, s *server) func(*testing.T) {
	before, after := simpleImage(t, "before"), simpleImage(t, "after")
	reference := s.push(t, "moving", "1", before)
	s.push(t, "moving", "1", after)
	w.pinned("beside", reference, before.blob)
	w.declare("inside", map[string]string{"image": reference + "@" + before.digest()})
	return func(t *testing.T) {
		w.mustHave(t, "beside", before)
		w.mustHave(t, "inside", before)
	}
}

// platforms: an index gives the image of the platform that was asked for.
func (w *world) platforms(t *testing.T, s *server) func(*testing.T) {
	images := map[string]image{
		"amd64": newImage(t, "amd64", layer(t, ociLayer+"+gzip", "amd64")),
		"arm64": newImage(t, "arm64", layer(t, ociLayer+"+gzip", "arm64")),
	}
	for _, i := range images {
		s.push(t, "index", "x", i)
	}
	oci, docker := newIndex(t, ociIndex, images), newIndex(t, dockerIndex, images)
	s.pushManifest(t, "index", "oci", oci)
	s.pushManifest(t, "index", "docker", docker)
	w.pinned("index", s.Addr+"/index:oci", oci)
	w.pinned("list", s.Addr+"/index:docker", docker)
	for name, platform := range map[string]string{"index_arm": "linux/arm64", "index_s390x": "linux/s390x"} {
		w.declare(name, map[string]string{"image": s.Addr + "/index", "digest": oci.digest(), "platform": platform})
	}
	w.pinned("alone_arm", s.Addr+"/index", images["arm64"].blob)
	return func(t *testing.T) {
		w.mustHave(t, "index", images["amd64"])
		w.mustHave(t, "list", images["amd64"])
		w.mustHave(t, "index_arm", images["arm64"])
		w.mustFail(t, "index_s390x", []string{"has no linux/s390x; it has linux/arm64, linux/amd64; set `platform`"})
		w.mustFail(t, "alone_arm", []string{images["arm64"].digest(), "the image is for linux/arm64; set `platform`"})
	}
}

// fetch: `bazel fetch` and `bazel query` know the image, and one target a layer.
func (w *world) fetch(t *testing.T, s *server) func(*testing.T) {
	i := newImage(t, "amd64", layer(t, ociLayer+"+gzip", "fetched 1"), layer(t, ociLayer+"+gzip", "fetched 2"))
	w.pinned("fetched", s.push(t, "fetched", "1", i), i.blob)
	return func(t *testing.T) {
		w.mustRun(t, "fetch", "--repo=@fetched")
		want := "@fetched//:config\n@fetched//:fetched\n@fetched//:layer_0\n@fetched//:layer_1\n"
		if got := w.mustRun(t, "query", "@fetched//:all"); got != want {
			t.Errorf("targets:\n%swant:\n%s", got, want)
		}
		if got := w.mustRun(t, "cquery", "--output=files", "@fetched//:layer_1"); !strings.Contains(got, i.layers[1].hex()) {
			t.Errorf("layer_1 is %s, want %s", got, i.layers[1].hex())
		}
	}
}

// mirror: the downloader config leads the registry's requests elsewhere.
func (w *world) mirror(t *testing.T, s *server) func(*testing.T) {
	i := simpleImage(t, "mirrored")
	s.push(t, "team/app", "1", i)
	w.pinned("mirrored", "mirrored.invalid/team/app:1", i.blob)
	return func(t *testing.T) { w.mustHave(t, "mirrored", i) }
}

// noDigest: without a digest the build fails with the line to add, where Bazel can find it out.
func (w *world) noDigest(t *testing.T, plain, secure *server) func(*testing.T) {
	i := simpleImage(t, "unpinned")
	w.declare("unpinned_http", map[string]string{"image": plain.push(t, "unpinned", "stable", i)})
	w.declare("unpinned_https", map[string]string{"image": secure.Addr + "/unpinned:stable"})
	w.declare("unpinned_gone", map[string]string{"image": secure.Addr + "/unpinned:gone"})
	w.pinned("pinned_https", secure.Addr+"/unpinned:stable", i.blob)
	return func(t *testing.T) {
		w.mustFail(t, "unpinned_http", []string{plain.Addr + "/unpinned:stable has no digest", "skopeo inspect"})
		w.mustFail(t, "unpinned_https", []string{
			secure.Addr + "/unpinned:stable has no digest", fmt.Sprintf("    digest = %q,", i.digest()),
		})
		w.mustFail(t, "unpinned_gone", []string{"returned 404", "did not give the tag gone", "digest:      unknown"})
		w.mustHave(t, "pinned_https", i)
	}
}

// login writes Docker's config.json.
func (w *world) login(t *testing.T, config map[string]any) {
	t.Helper()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.config, "config.json"), string(data), 0o600)
	t.Cleanup(func() { os.Remove(filepath.Join(w.config, "config.json")) })
}

func basic(secret string) map[string]any {
	return map[string]any{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))}
}

// credentials: none, wrong and right ones in config.json, for a registry that wants a password.
func (w *world) credentials(t *testing.T, s *server) func(*testing.T) {
	i := simpleImage(t, "secret")
	w.pinned("secret", s.push(t, "team/secret", "1", i), i.blob)
	return func(t *testing.T) {
		what := append(asked(s.Addr, "team/secret", i.blob), "returned 401")
		file := filepath.Join(w.config, "config.json")
		w.mustFail(t, "secret", append(what, "credentials: none; looked in "+file+": no such file", "docker login "+s.Addr))
		w.login(t, map[string]any{"auths": map[string]any{"127.0.0.1:1": basic(password)}})
		w.mustFail(t, "secret", append(what, file+": no entry for "+s.Addr))
		w.login(t, map[string]any{"auths": map[string]any{s.Addr: basic("wrong")}})
		w.mustFail(t, "secret", append(what, "credentials: those of "+file, "these credentials are wrong"))
		w.login(t, map[string]any{"auths": map[string]any{"http://" + s.Addr + "/v2/": basic(password)}})
		w.mustHave(t, "secret", i)
	}
}

// credentialHelper: the helper of the registry, and the one for all, are asked with the registry on standard input.
func (w *world) credentialHelper(t *testing.T, s *server) func(*testing.T) {
	one, all := simpleImage(t, "helped by one"), simpleImage(t, "helped by all")
	w.pinned("helped", s.push(t, "team/helped", "1", one), one.blob)
	w.pinned("stored", s.push(t, "team/stored", "1", all), all.blob)
	return func(t *testing.T) {
		helper := fmt.Sprintf("#!/bin/sh\nread -r registry\n[ \"$1 $registry\" = 'get %s' ] || "+
			"{ echo 'credentials not found in native keychain'; exit 1; }\ncat <<'E'\n{\"Username\":%q,\"Secret\":%q}\nE\n",
			s.Addr, user, password)
		w.login(t, map[string]any{"credHelpers": map[string]string{s.Addr: "fledge-test"}})
		w.mustFail(t, "helped", []string{"docker-credential-fledge-test is not on PATH"})
		broken := "#!/bin/sh\necho locked >&2; exit 3\n"
		writeFile(t, filepath.Join(w.config, "bin/docker-credential-fledge-broken"), broken, 0o755)
		w.login(t, map[string]any{"credsStore": "fledge-broken"})
		w.mustFail(t, "helped", []string{"docker-credential-fledge-broken get ended with code 3: locked"})
		writeFile(t, filepath.Join(w.config, "bin/docker-credential-fledge-test"), helper, 0o755)
		w.login(t, map[string]any{"credHelpers": map[string]string{s.Addr: "fledge-test"}})
		w.mustHave(t, "helped", one)
		w.login(t, map[string]any{"credsStore": "fledge-test", "auths": map[string]any{s.Addr: map[string]any{}}})
		w.mustHave(t, "stored", all)
	}
}

// bazelCredentialHelper: Bazel's own helpers (--credential_helper) answer for the registry's requests.
func (w *world) bazelCredentialHelper(t *testing.T, s *server) func(*testing.T) {
	i := simpleImage(t, "helped by Bazel")
	w.pinned("by_bazel", s.push(t, "team/by-bazel", "1", i), i.blob)
	return func(t *testing.T) {
		helper := filepath.Join(w.config, "bin/bazel-helper")
		answer := fmt.Sprintf(`{"headers":{"Authorization":["Basic %s"]}}`, basic(password)["auth"])
		writeFile(t, helper, "#!/bin/sh\ncat >/dev/null\ncat <<'E'\n"+answer+"\nE\n", 0o755)
		w.mustHave(t, "by_bazel", i, "--credential_helper=127.0.0.1="+helper)
	}
}

// tokens: a registry that takes bearer tokens alone, from the token server that fledge.registry names.
func (w *world) tokens(t *testing.T, open, tokens *server) func(*testing.T) {
	public, hidden := simpleImage(t, "public"), simpleImage(t, "hidden")
	open.push(t, "public/app", "1", public)
	open.push(t, "hidden/app", "1", hidden)
	w.pinned("public", tokens.Addr+"/public/app:1", public.blob)
	w.pinned("hidden", tokens.Addr+"/hidden/app:1", hidden.blob)
	return func(t *testing.T) {
		w.mustHave(t, "public", public)
		what := append(asked(tokens.Addr, "hidden/app", hidden.blob), "returned 401")
		w.mustFail(t, "hidden", append(what, "credentials: none"))
		w.login(t, map[string]any{"auths": map[string]any{tokens.Addr: basic("wrong")}})
		w.mustFail(t, "hidden", append(what, "the token server refuses these credentials"))
		plain := map[string]any{"username": user, "password": password}
		w.login(t, map[string]any{"auths": map[string]any{tokens.Addr: plain}})
		w.mustHave(t, "hidden", hidden)
	}
}

// notFound: neither the repository nor the digest is there.
func (w *world) notFound(t *testing.T, s *server) func(*testing.T) {
	i, never := simpleImage(t, "found"), simpleImage(t, "never pushed").blob
	s.push(t, "found", "1", i)
	w.pinned("no_repository", s.Addr+"/lost:1", never)
	w.pinned("no_digest", s.Addr+"/found:1", never)
	return func(t *testing.T) {
		what := []string{"returned 404", "the registry did not give the manifest", "credentials: none; looked in"}
		w.mustFail(t, "no_repository", append(what, asked(s.Addr, "lost", never)...))
		w.mustFail(t, "no_digest", append(what, asked(s.Addr, "found", never)...))
	}
}

// wrongDigest: the registry's storage was altered, so its bytes are not what the digest says.
func (w *world) wrongDigest(t *testing.T, s *server) func(*testing.T) {
	i, j := simpleImage(t, "altered layer"), simpleImage(t, "altered config")
	w.pinned("altered_layer", s.push(t, "altered/layer", "1", i), i.blob)
	w.pinned("altered_config", s.push(t, "altered/config", "1", j), j.blob)
	s.alter(t, i.layers[0])
	s.alter(t, j.config)
	return func(t *testing.T) {
		for name, want := range map[string]struct {
			what string
			blob
		}{"altered_layer": {"layer", i.layers[0]}, "altered_config": {"config", j.config}} {
			what := []string{"the registry did not give the " + want.what, "Checksum was", "but wanted " + want.hex()}
			w.mustFail(t, name, append(what, asked(s.Addr, "altered/"+want.what, want.blob)...))
			if _, err := os.Stat(filepath.Join(w.cache, "content_addressable/sha256", want.hex())); err == nil {
				t.Errorf("@%s: the repository cache has kept the altered %s", name, want.what)
			}
		}
	}
}

// rateLimit: the registry, by the proxy before it, answers that there were too many requests.
func (w *world) rateLimit(t *testing.T, s *server) func(*testing.T) {
	i := simpleImage(t, "limited")
	s.push(t, "limited", "1", i)
	proxy := startRateLimitingProxy(t, s)
	w.pinned("limited", proxy+"/limited:1", i.blob)
	return func(t *testing.T) {
		what := []string{"returned 429", "credentials: none; looked in", "use a mirror (docs/images.md)"}
		w.mustFail(t, "limited", append(what, asked(proxy, "limited", i.blob)...))
	}
}

// withoutRegistry: when the registry is gone, images still build: from the repository cache, and from the blobs of an OCI
// layout by --distdir. An output base of its own has nothing else.
func (w *world) withoutRegistry(t *testing.T) func(*testing.T) {
	s := startOpen(t)
	cached, carried, gone := simpleImage(t, "cached"), simpleImage(t, "carried"), simpleImage(t, "gone")
	w.pinned("cached", s.push(t, "cached", "1", cached), cached.blob)
	w.pinned("carried", s.push(t, "carried", "1", carried), carried.blob)
	w.pinned("gone", s.push(t, "gone", "1", gone), gone.blob)
	layout := t.TempDir()
	for _, b := range append(carried.blobs(), carried.blob) {
		writeFile(t, filepath.Join(layout, "blobs/sha256", b.hex()), string(b.data), 0o644)
	}
	return func(t *testing.T) {
		w.mustHave(t, "cached", cached)
		s.Stop()
		other := w.elsewhere(t)
		other.mustHave(t, "cached", cached)
		other.mustHave(t, "carried", carried, "--distdir="+filepath.Join(layout, "blobs/sha256"))
		other.mustFail(t, "gone", []string{"Connection refused", "registry:    " + s.Addr, "no warning"})
		stderr := other.mustFail(t, "gone", []string{"registry:    " + s.Addr, "--repository_disable_download"},
			"--repository_disable_download")
		if strings.Contains(stderr, "WARNING: Download") {
			t.Errorf("with --repository_disable_download Bazel asked the registry:\n%s", stderr)
		}
	}
}

// noSecretsLeft checks that the password is in no file that Bazel wrote: repositories, caches, logs.
func (w *world) noSecretsLeft(t *testing.T) {
	encoded := basic(password)["auth"].(string)
	for _, root := range []string{w.outputBase, w.cache} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, secret := range []string{password, encoded, `pa$$w\\1rd`} {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s has the registry's password", path)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
