package fetch

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/agent/agenttest"
	"github.com/fledge-build/fledge/internal/recipe"
)

var (
	amd64 = agenttest.Program("amd64", 300_000)
	arm64 = agenttest.Program("arm64", 200_000)
	newer = agenttest.Program("amd64", 100_000)
)

// newClient is a client in a hurry, with a cache of its own.
func newClient(t *testing.T, s *agenttest.Server) *Client {
	return &Client{Cache: t.TempDir(), Remote: agent.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}, // past which loopback always goes
		API:       s.API(),
		Pauses:    []time.Duration{time.Millisecond, time.Millisecond},
		Stall:     10 * time.Second,
	}}
}

func check(t *testing.T, file string, pin Pin, err error, want []byte, version string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if (pin != Pin{version, agenttest.SHA256(want)}) {
		t.Errorf("pin %+v, want %s of version %q", pin, agenttest.SHA256(want), version)
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d, %v", file, len(got), len(want), err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%s: %v, %v", file, info.Mode(), err)
	}
}

func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in\n%v", w, err)
		}
	}
}

func TestRelease(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"kestrel": amd64, "kestrel-arm64": arm64}})
	c := newClient(t, s)
	latest := &recipe.Agent{Strategy: recipe.Release, Version: "latest", Repository: s.Repository()}

	file, pin, err := c.Agent(t.Context(), latest, "amd64", Pin{})
	check(t, file, pin, err, amd64, "v1")
	file, armPin, err := c.Agent(t.Context(), latest, "arm64", Pin{})
	check(t, file, armPin, err, arm64, "v1")

	// A newer release changes nothing of what is pinned, and what is cached is not asked for.
	s.Add(&agenttest.Release{Tag: "v2", Files: map[string][]byte{"kestrel": newer}})
	before := len(s.Requests(""))
	file, again, err := c.Agent(t.Context(), latest, "amd64", pin)
	check(t, file, again, err, amd64, "v1")
	if n := len(s.Requests("")) - before; n != 0 {
		t.Errorf("%d requests for what is in the cache", n)
	}

	// Elsewhere it is fetched from its address; the API is not asked.
	c = newClient(t, s)
	before = len(s.Requests(""))
	file, again, err = c.Agent(t.Context(), latest, "amd64", pin)
	check(t, file, again, err, amd64, "v1")
	if n := len(s.Requests("")) - before; n != 1 {
		t.Errorf("%d requests", n)
	}

	// A damaged file is fetched anew.
	if err := os.WriteFile(file, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, again, err = c.Agent(t.Context(), latest, "amd64", pin)
	check(t, file, again, err, amd64, "v1")

	file, pin, err = c.Agent(t.Context(), latest, "amd64", Pin{})
	check(t, file, pin, err, newer, "v2")
	_, _, err = c.Agent(t.Context(), latest, "arm64", Pin{})
	mustFail(t, err, "agent: release v2 has no kestrel-arm64, for arm64")
	_, _, err = c.Agent(t.Context(), latest, "amd64", Pin{"v2", agenttest.SHA256(amd64)[:60] + "0000"})
	mustFail(t, err, "is not the file that it was pinned to", "fetched sha256:"+agenttest.SHA256(newer), "fledge update")
	_, _, err = c.Agent(t.Context(), &recipe.Agent{Strategy: recipe.Release, Version: "v9", Repository: s.Repository()}, "amd64", Pin{})
	mustFail(t, err, "has no release v9")
}

func TestURL(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"k-amd64": amd64, "k-arm64": arm64}})
	c := newClient(t, s)
	a := &recipe.Agent{Strategy: recipe.HTTP, URL: s.File("v1", "k-{arch}")}
	var total int64
	c.Remote.Progress = func(done, _ int64) { total = done }
	file, pin, err := c.Agent(t.Context(), a, "arm64", Pin{})
	check(t, file, pin, err, arm64, "")
	if total != int64(len(arm64)) {
		t.Errorf("progress to %d", total)
	}

	a.Checksum = "sha256:" + agenttest.SHA256(amd64)
	file, pin, err = c.Agent(t.Context(), a, "amd64", Pin{})
	check(t, file, pin, err, amd64, "")
	before := len(s.Requests(""))
	file, pin, err = c.Agent(t.Context(), a, "amd64", Pin{})
	check(t, file, pin, err, amd64, "")
	if n := len(s.Requests("")) - before; n != 0 {
		t.Errorf("%d requests for what is in the cache", n)
	}
	_, _, err = c.Agent(t.Context(), a, "arm64", Pin{})
	mustFail(t, err, "agent: ", "fetched sha256:"+agenttest.SHA256(arm64), "pinned  "+a.Checksum)
	file, pin, err = c.Agent(t.Context(), a, "amd64", Pin{SHA256: agenttest.SHA256(arm64)}) // the recipe's word counts
	check(t, file, pin, err, amd64, "")
	_, _, err = c.Agent(t.Context(), &recipe.Agent{Strategy: recipe.HTTP, URL: "http://example.com/k?token=1"}, "amd64", Pin{})
	mustFail(t, err, "plain http is for this machine alone")
	_, _, err = c.Agent(t.Context(), &recipe.Agent{Strategy: recipe.HTTP, URL: s.File("v1", "k-arm64")}, "amd64", Pin{})
	mustFail(t, err, "is a program for another machine than amd64")
	left, err := os.ReadDir(c.Cache + "/programs/sha256")
	if err != nil || len(left) != 2 {
		t.Errorf("cache: %v, %v", left, err)
	}
}

// TestCut: a connection that breaks goes on where it was, and one that cannot leaves the right bytes, too.
func TestCut(t *testing.T) {
	for name, ranges := range map[string]bool{"ranges": true, "no ranges": false} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"kestrel": amd64}})
			cuts := 0
			s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, "/kestrel") {
					return false
				}
				if !ranges {
					r.Header.Del("Range")
				}
				if cuts++; cuts > 1 {
					agenttest.ServeFile(w, r, amd64)
					return true
				}
				w.Header().Set("Etag", agenttest.ETag(amd64))
				w.Header().Set("Content-Length", "300000")
				w.Write(amd64[:100_000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			file, pin, err := newClient(t, s).Agent(t.Context(),
				&recipe.Agent{Strategy: recipe.HTTP, URL: s.File("v1", "kestrel")}, "amd64", Pin{})
			check(t, file, pin, err, amd64, "")
		})
	}
}

func TestBusybox(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"busybox": amd64, "busybox-arm64": arm64}})
	c := newClient(t, s)
	file, pin, err := c.Busybox(t.Context(), s.File("v1", "busybox"), "amd64", Pin{})
	check(t, file, pin, err, amd64, "")
	file, pin, err = c.Busybox(t.Context(), s.File("v1", "busybox-arm64"), "arm64", Pin{SHA256: agenttest.SHA256(arm64)})
	check(t, file, pin, err, arm64, "")
	_, _, err = c.Busybox(t.Context(), "", "arm64", Pin{})
	mustFail(t, err, "there is no busybox for arm64 by default: give busybox_url and busybox_sha256")
	_, _, err = c.Busybox(t.Context(), s.File("v1", "busybox"), "amd64", Pin{SHA256: agenttest.SHA256(arm64)})
	mustFail(t, err, "busybox: ", "is not the file that it was pinned to")
}

// TestDefaultBusybox: the command's busybox is that of the rules.
func TestDefaultBusybox(t *testing.T) {
	rules, err := os.ReadFile("../../../../fledge/private/busybox_tags.bzl")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`url = "` + BusyboxURL + `"`, `sha256 = "` + BusyboxSHA256 + `"`} {
		if !bytes.Contains(rules, []byte(want)) {
			t.Errorf("busybox_tags.bzl has no %s", want)
		}
	}
}
