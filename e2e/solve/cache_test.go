package solve

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// cacheDockerfile has what a cache could spoil: a stage that is not in the image, layers with nothing in them, times
// that are the clock's, and a step that the context decides.
const cacheDockerfile = `FROM busybox:1 AS build
ARG WHO=nobody
RUN mkdir /out && echo "hello $WHO" >/out/text && ln /out/text /out/linked && chown -R app:app /out
RUN true

FROM busybox:1
COPY --from=build /out /srv
RUN mkdir -p /a/b && touch /a/b/c && ln -s c /a/b/d
COPY --link name /srv/name
RUN cat /srv/name >/read
WORKDIR /srv
USER app
`

var stepLine = regexp.MustCompile(`(?m)^#(\d+) \[(?:[\w-]+ )?\d+/\d+\] (.*)$`)

// ran gives the steps that were not taken from the cache, without FROM and the second half of COPY --link.
func ran(said string) (list []string) {
	for _, m := range stepLine.FindAllStringSubmatch(said, -1) {
		other := strings.HasPrefix(m[2], "FROM ") || strings.HasPrefix(m[2], "LINK ")
		if !other && !strings.Contains(said, "\n#"+m[1]+" cached\n") {
			list = append(list, m[2])
		}
	}
	return list
}

// cached is a solve of cacheDockerfile with a file of the context.
func (k kit) cached(t *testing.T, name string, more ...string) (image map[string]string, said string) {
	t.Helper()
	j := k.job(t, cacheDockerfile, map[string]string{"name": name}, more...)
	said, err := k.run(t, j)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return digests(t, j.out()), said
}

func sameImage(t *testing.T, want, got map[string]string, said string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the cache changes the image (-without +with):\n%s\n%s", diff, said)
	}
}

// cacheSize is the bytes of all blobs.
func cacheSize(t *testing.T, dir string) (size int64, largest string) {
	t.Helper()
	var most int64
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		size += info.Size()
		if info.Size() > most {
			most, largest = info.Size(), path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size, largest
}

// checkSessions looks for what solves should not leave in the cache.
func checkSessions(t *testing.T, dir string) {
	t.Helper()
	if list, err := os.ReadDir(filepath.Join(dir, "sessions")); err != nil || len(list) > 0 {
		t.Errorf("%d sessions stay behind, %v", len(list), err)
	}
}

func TestCache(t *testing.T) {
	k := newKit(t)
	dir := filepath.Join(t.TempDir(), "cache")
	with := []string{"--cache", dir, "--cache-key", "//app:image"}
	first, said := k.cached(t, "one")
	t.Logf("without: %s", last(said))
	changed, _ := k.cached(t, "two")

	got, said := k.cached(t, "one", with...)
	sameImage(t, first, got, said)
	if steps := ran(said); len(steps) != 7 {
		t.Errorf("an empty cache: of 7 steps these ran: %q\n%s", steps, said)
	}
	size, _ := cacheSize(t, dir)
	t.Logf("empty: %s\ncache: %d bytes", last(said), size)

	got, said = k.cached(t, "one", with...)
	sameImage(t, first, got, said)
	if steps := ran(said); len(steps) > 0 {
		t.Errorf("a full cache: these steps ran: %q\n%s", steps, said)
	}
	t.Logf("full: %s", last(said))

	got, said = k.cached(t, "two", with...)
	sameImage(t, changed, got, said)
	want := []string{"COPY --link name /srv/name", "RUN cat /srv/name >/read", "WORKDIR /srv"}
	if diff := cmp.Diff(want, ran(said)); diff != "" {
		t.Errorf("a file is changed: steps that ran (-want +got):\n%s\n%s", diff, said)
	}

	got, said = k.cached(t, "one", with...)
	sameImage(t, first, got, said)
	if steps := ran(said); len(steps) > 0 {
		t.Errorf("the change is taken back: these steps ran: %q", steps)
	}
	got, said = k.cached(t, "one", "--cache", dir, "--cache-key", "//app:another")
	sameImage(t, first, got, said)
	if steps := ran(said); len(steps) > 0 {
		t.Errorf("another key: these steps ran: %q", steps)
	}
	checkSessions(t, dir)
}

// TestCacheOfFailure has a cache of a solve that fails, in a step on which only a part of the others depends.
func TestCacheOfFailure(t *testing.T) {
	k := newKit(t)
	const dockerfile = `FROM busybox:1 AS build
RUN echo built >/built

FROM busybox:1
RUN echo first >/first
COPY name /name
RUN sleep 5 && grep good /name
COPY --from=build /built /
RUN true
`
	solve := func(name string, more ...string) (image map[string]string, said string) {
		t.Helper()
		j := k.job(t, dockerfile, map[string]string{"name": name}, more...)
		said, err := k.run(t, j)
		switch {
		case (err == nil) != (name == "good"):
			t.Fatalf("%v\n%s", err, said)
		case err != nil:
			return nil, said
		}
		return digests(t, j.out()), said
	}
	steps := func(said string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, ran(said)); diff != "" {
			t.Errorf("steps that ran (-want +got):\n%s\n%s", diff, said)
		}
	}
	want, _ := solve("good")
	with := []string{"--cache", filepath.Join(t.TempDir(), "cache"), "--cache-key", "//app:image"}
	const copied, failing = "COPY name /name", "RUN sleep 5 && grep good /name"
	_, said := solve("bad", with...)
	if strings.Contains(said, "warning") || !strings.Contains(said, "exit code: 1") {
		t.Errorf("it said\n%s", said)
	}
	_, said = solve("bad", with...)
	steps(said, failing)
	got, said := solve("good", with...)
	sameImage(t, want, got, said)
	steps(said, copied, failing, "COPY --from=build /built /", "RUN true")
	_, said = solve("worse", with...)
	steps(said, copied, failing)
	_, said = solve("worst", with...)
	steps(said, copied, failing)
	got, said = solve("good", with...) // the failures have not displaced it
	sameImage(t, want, got, said)
	steps(said)
	checkSessions(t, with[1])
}

// TestCacheTogether has solves fill and use a directory at the same time.
func TestCacheTogether(t *testing.T) {
	k := newKit(t)
	dir := filepath.Join(t.TempDir(), "cache")
	want, _ := k.cached(t, "one")
	for round := range 2 {
		var all sync.WaitGroup
		for _, key := range []string{"a", "a", "b"} {
			all.Go(func() {
				got, said := k.cached(t, "one", "--cache", dir, "--cache-key", key)
				sameImage(t, want, got, said)
				if steps := ran(said); round > 0 && len(steps) > 0 {
					t.Errorf("key %s: these steps ran: %q", key, steps)
				}
			})
		}
		all.Wait()
		checkSessions(t, dir)
	}
}

// TestCacheDamage spoils the cache, which costs time alone.
func TestCacheDamage(t *testing.T) {
	k := newKit(t)
	dir := filepath.Join(t.TempDir(), "cache")
	want, said := k.cached(t, "one", "--cache", dir)
	for _, c := range []struct {
		name  string
		spoil func() error
	}{
		{"digest", func() error {
			_, file := cacheSize(t, dir)
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("spoilt"), 1000)
			return err
		}},
		{"cut off", func() error {
			_, file := cacheSize(t, dir)
			return os.Truncate(file, 5)
		}},
		{"index", func() error { return os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o600) }},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		got, said = k.cached(t, "one", "--cache", dir)
		sameImage(t, want, got, said)
		if !strings.Contains(said, "warning: cache "+dir) || !strings.Contains(said, "damaged") || len(ran(said)) != 7 {
			t.Errorf("%s: steps %q ran\n%s", c.name, ran(said), said)
		}
	}
	got, said := k.cached(t, "one", "--cache", dir)
	sameImage(t, want, got, said)
	if steps := ran(said); len(steps) > 0 {
		t.Errorf("after the damage: these steps ran: %q\n%s", steps, said)
	}
	checkSessions(t, dir)
}

// TestCacheLimit has a cache that is too small for two solves with nothing in common.
func TestCacheLimit(t *testing.T) {
	k := newKit(t)
	dir := filepath.Join(t.TempDir(), "cache")
	const large = "FROM scratch\nCOPY noise /\n"
	for _, key := range []string{"a", "b"} {
		files := map[string]string{"noise": noise(key, 3<<20)}
		j := k.job(t, large, files, "--cache", dir, "--cache-key", key, "--cache-mb", "4")
		if said, err := k.run(t, j); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if size, _ := cacheSize(t, dir); size < 3<<20 || size > 4<<20 {
			t.Errorf("after %s the cache has %d bytes", key, size)
		}
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(index); strings.Contains(text, `ref.name":"a"`) || !strings.Contains(text, `ref.name":"b"`) {
		t.Errorf("index %s", text)
	}
}

// noise is text that no compression makes small.
func noise(seed string, size int) string {
	var b strings.Builder
	for sum := sha256.Sum256([]byte(seed)); b.Len() < size; sum = sha256.Sum256(sum[:]) {
		b.Write(sum[:])
	}
	return b.String()
}

// TestCacheSecrets: BuildKit does not look at what secrets say, and the image must not be one with the old secret.
func TestCacheSecrets(t *testing.T) {
	k := newKit(t)
	dir := filepath.Join(t.TempDir(), "cache")
	const dockerfile = "FROM busybox:1\nRUN --mount=type=secret,id=token wc -c </run/secrets/token >/length\n"
	var images []map[string]string
	for _, text := range []string{"very secret", "longer, very secret"} {
		secret := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		j := k.job(t, dockerfile, nil, "--secret", "token="+secret, "--cache", dir)
		if said, err := k.run(t, j); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		images = append(images, digests(t, j.out()))
	}
	if cmp.Equal(images[0], images[1]) {
		t.Error("the second image is made with the first secret")
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.HasPrefix(string(b), "\x1f\x8b") {
			b = []byte(imagetest.Run(t, "gzip", "-dc", path))
		}
		if strings.Contains(string(b), "very secret") {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// last is the last line.
func last(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return lines[len(lines)-1]
}
