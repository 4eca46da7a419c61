package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/agent/agenttest"
)

var (
	amd64 = agenttest.Program("amd64", 300_000)
	arm64 = agenttest.Program("arm64", 200_000)
)

// newClient is a client in a hurry; notes are what it told.
func newClient(t *testing.T) (c *Client, notes *strings.Builder) {
	t.Helper()
	notes = &strings.Builder{}
	return &Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}, // past which loopback always goes
		Pauses:    []time.Duration{time.Millisecond, time.Millisecond},
		Stall:     10 * time.Second,
		Note:      func(m string) { notes.WriteString(m + "\n") },
	}, notes
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestPinRelease(t *testing.T) {
	sums := []byte(agenttest.SHA256(amd64) + "  kestrel\n" + agenttest.SHA256(arm64) + " *kestrel-arm64\n")
	wrong := strings.Repeat("0", 64)
	none := func(string, []byte) string { return "" }
	both := map[string][]byte{"kestrel": amd64, "kestrel-arm64": arm64}
	for name, c := range map[string]struct {
		release agenttest.Release
		source  Source
		want    map[string][]byte // what is pinned, by architecture
		says    []string          // parts of the notes, or of the error when nothing is pinned
	}{
		"digests": {
			release: agenttest.Release{Files: both},
			want:    map[string][]byte{"amd64": amd64, "arm64": arm64},
			says:    []string{"as in the release's digest"},
		},
		"checksums.txt": {
			release: agenttest.Release{
				Digest: none, Files: map[string][]byte{"kestrel": amd64, "kestrel-arm64": arm64, "checksums.txt": sums},
			},
			want: map[string][]byte{"amd64": amd64, "arm64": arm64},
			says: []string{"as in checksums.txt"},
		},
		"digest and file of one checksum": {
			release: agenttest.Release{
				Files: map[string][]byte{"kestrel": amd64, "kestrel.sha256": []byte(agenttest.SHA256(amd64))},
			},
			want: map[string][]byte{"amd64": amd64},
			says: []string{"as in the release's digest and kestrel.sha256", "has no kestrel-arm64, so arm64 is not pinned"},
		},
		"nothing published": {
			release: agenttest.Release{Digest: none, Files: map[string][]byte{"kestrel": amd64}},
			want:    map[string][]byte{"amd64": amd64},
			says:    []string{"publishes no checksum"},
		},
		"other names": {
			release: agenttest.Release{Files: map[string][]byte{"kestrel": amd64, "kestrel-linux-aarch64": arm64}},
			source:  Source{Assets: map[string]string{"arm64": "kestrel-linux-aarch64"}},
			want:    map[string][]byte{"amd64": amd64, "arm64": arm64},
		},
		"one architecture": {
			release: agenttest.Release{Files: both},
			source:  Source{Archs: []string{"arm64"}},
			want:    map[string][]byte{"arm64": arm64},
		},
		"a script": {
			release: agenttest.Release{Files: map[string][]byte{"kestrel": []byte("#!/bin/sh\n")}},
			want:    map[string][]byte{"amd64": []byte("#!/bin/sh\n")},
		},
		"wrong digest": {
			release: agenttest.Release{Files: both, Digest: func(string, []byte) string { return "sha256:" + wrong }},
			says:    []string{"fetched   sha256:" + agenttest.SHA256(amd64), "published sha256:" + wrong, "release's digest"},
		},
		"wrong checksums.txt": {
			release: agenttest.Release{
				Files: map[string][]byte{"kestrel": amd64, "checksums.txt": []byte(wrong + "  kestrel\n")},
			},
			says: []string{"fetched   sha256:" + agenttest.SHA256(amd64), "published sha256:" + wrong, "checksums.txt"},
		},
		"two checksums": {
			release: agenttest.Release{
				Files: map[string][]byte{
					"kestrel": amd64, "SHA256SUMS": []byte(wrong + "  kestrel\n" + strings.Repeat("1", 64) + "  kestrel\n"),
				},
			},
			says: []string{"SHA256SUMS", "two checksums of kestrel"},
		},
		"no agent": {
			release: agenttest.Release{Files: map[string][]byte{"volar": amd64}},
			says:    []string{"v1.2.3 has no kestrel, for amd64; it has volar"},
		},
		"no required architecture": {
			release: agenttest.Release{Files: map[string][]byte{"kestrel": amd64}},
			source:  Source{Archs: []string{"amd64", "arm64"}},
			says:    []string{"has no kestrel-arm64, for arm64"},
		},
		"another machine": {
			release: agenttest.Release{Files: map[string][]byte{"kestrel": arm64}},
			says:    []string{"another machine than amd64"},
		},
		"a page": {
			release: agenttest.Release{Files: map[string][]byte{"kestrel": []byte("<!DOCTYPE html>")}},
			says:    []string{`begins with "<!DOCTYPE html>"`},
		},
		"smaller than said": {
			release: agenttest.Release{
				Files: both, Size: func(_ string, data []byte) int { return len(data) + 1 },
			},
			says: []string{"has 300000 bytes, and the release says 300001"},
		},
		"larger than said": {
			release: agenttest.Release{Files: both, Size: func(string, []byte) int { return 100 }},
			says:    []string{"more than the 100 bytes"},
		},
		"too large": {
			release: agenttest.Release{Files: both, Size: func(string, []byte) int { return MaxProgram + 1 }},
			says:    []string{"has 536870913 bytes, and at most 536870912"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.release.Tag = "v1.2.3"
			s := agenttest.New(t, &c.release)
			client, notes := newClient(t)
			c.source.Repository, c.source.Version = s.Repository(), "latest"
			pin, err := client.PinRelease(t.Context(), c.source)
			if c.want == nil {
				if err == nil {
					t.Fatalf("pinned %v", pin)
				}
				mustContain(t, err.Error(), c.says...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for arch, data := range c.want {
				want[arch] = agenttest.SHA256(data)
			}
			if pin.Version != "v1.2.3" || pin.Repository != s.Repository() || !maps.Equal(pin.SHA256, want) {
				t.Errorf("pinned %+v, want %v", pin, want)
			}
			mustContain(t, notes.String(), c.says...)
		})
	}
}

func TestRelease(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1"}, &agenttest.Release{Tag: "team/v2+x"})
	client, _ := newClient(t)
	for _, c := range []struct{ version, want string }{{"v1", "v1"}, {"latest", "team/v2+x"}, {"team/v2+x", "team/v2+x"}} {
		r, err := client.Release(t.Context(), s.Repository(), c.version)
		if err != nil {
			t.Fatal(err)
		}
		if r.Tag != c.want {
			t.Errorf("%s is %s", c.version, r.Tag)
		}
	}
	for _, c := range []struct{ repository, version, want string }{
		{s.Repository(), "v9", s.Repository() + " has no release v9; "},
		{s.Repository(), "a b", `"a b" is no tag`},
		{s.URL, "v1", "expected https://github.com/OWNER/NAME"},
		{"http://example.com/a/b", "v1", "plain http is for this machine alone"},
		{"https://me:secret@example.com/a/b", "v1", "has a user in it"},
		{"ftp://example.com/a/b", "v1", "is no https URL"},
	} {
		_, err := client.Release(t.Context(), c.repository, c.version)
		if err == nil {
			t.Fatalf("%s %s: no error", c.repository, c.version)
		}
		mustContain(t, err.Error(), c.want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %v", err)
		}
	}
}

// TestEndpoint: which API is asked for which repository.
func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ api, repository, want string }{
		{"", "https://github.com/a/b", "https://api.github.com"},
		{"", "https://git.example.com/a/b/", "https://git.example.com/api/v3"},
		{"https://x.example.com/api/", "https://github.com/a/b", "https://x.example.com/api"},
	} {
		api, owner, err := (&Client{API: c.api}).endpoint(c.repository)
		if err != nil || api != c.want || owner != "a/b" {
			t.Errorf("%+v: %q %q %v", c, api, owner, err)
		}
	}
}

func TestPinURL(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"k-amd64": amd64, "k-arm64": arm64}})
	client, _ := newClient(t)
	for _, c := range []struct {
		source Source
		want   map[string]string
		err    string
	}{
		{source: Source{URL: s.File("v1", "k-amd64")}, want: map[string]string{"amd64": agenttest.SHA256(amd64)}},
		{
			source: Source{URL: s.File("v1", "k-arm64"), Archs: []string{"arm64"}},
			want:   map[string]string{"arm64": agenttest.SHA256(arm64)},
		},
		{
			source: Source{URL: s.File("v1", "k-{arch}")},
			want:   map[string]string{"amd64": agenttest.SHA256(amd64), "arm64": agenttest.SHA256(arm64)},
		},
		{source: Source{URL: s.File("v1", "k-amd64"), Archs: Architectures}, err: "write {arch}"},
		{source: Source{URL: s.File("v1", "gone")}, err: "404"},
		{source: Source{URL: "http://example.com/k"}, err: "plain http"},
	} {
		pin, err := client.PinURL(t.Context(), c.source)
		if c.err != "" {
			if err == nil {
				t.Fatalf("%+v: pinned %+v", c.source, pin)
			}
			mustContain(t, err.Error(), c.err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(pin.SHA256, c.want) || pin.URL != c.source.URL {
			t.Errorf("%+v: pinned %+v", c.source, pin)
		}
	}
}

// first misbehaves in the first n answers for a file.
func first(n int, path string, misbehave http.HandlerFunc) agenttest.Hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, path) || n == 0 {
			return false
		}
		n--
		misbehave(w, r)
		return true
	}
}

// cutOff sends the first half of a file, amd64 if the ETag is its, and hangs up.
func cutOff(etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(amd64)))
		data := bytes.Clone(amd64[:len(amd64)/2])
		if etag != agenttest.ETag(amd64) {
			data[100]++
		}
		w.Write(data)
		panic(http.ErrAbortHandler)
	}
}

func stall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Etag", agenttest.ETag(amd64))
	w.Header().Set("Content-Length", fmt.Sprint(len(amd64)))
	w.Write(amd64[:1000])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// slow sends a file in more time than a server may send nothing, though never nothing for long.
func slow(w http.ResponseWriter, _ *http.Request) {
	for i := range 6 {
		w.Write(amd64[len(amd64)*i/6 : len(amd64)*(i+1)/6])
		w.(http.Flusher).Flush()
		time.Sleep(250 * time.Millisecond)
	}
}

func fail(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestAgain: what another attempt mends, and what it goes on with.
func TestAgain(t *testing.T) {
	half := fmt.Sprintf("bytes=%d-", len(amd64)/2)
	for name, c := range map[string]struct {
		hook   agenttest.Hook
		ranges []string // of the requests for the file
		says   string
		err    string
	}{
		"cut off": {
			hook:   first(1, "/kestrel", cutOff(agenttest.ETag(amd64))),
			ranges: []string{"", half}, says: "cut off after 150000 bytes",
		},
		"cut off, weak ETag": {
			hook: first(1, "/kestrel", cutOff("W/"+agenttest.ETag(amd64))), ranges: []string{"", ""},
		},
		"cut off, then another file": {
			hook: first(1, "/kestrel", cutOff(`"old"`)), ranges: []string{"", half}, // If-Range gives all of the new one
		},
		"another part": {
			hook: func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Range") == "" {
					return false
				}
				w.Header().Set("Content-Range", "bytes 5-9/10")
				w.WriteHeader(http.StatusPartialContent)
				return true
			},
			ranges: []string{"", half, ""},
		},
		"stall":          {hook: first(1, "/kestrel", stall), ranges: []string{"", "bytes=1000-"}, says: "sending for 1s"},
		"slow":           {hook: first(1, "/kestrel", slow), ranges: []string{""}},
		"server error":   {hook: first(2, "/kestrel", fail(503)), ranges: []string{"", "", ""}, says: "503 Service"},
		"always failing": {hook: first(9, "/kestrel", fail(500)), ranges: []string{"", "", ""}, err: "(attempt 3, the last)"},
		"API error":      {hook: first(1, "/latest", fail(502)), ranges: []string{""}, says: "502 Bad Gateway"},
		"forbidden":      {hook: first(1, "/kestrel", fail(403)), ranges: []string{""}, err: "403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"kestrel": amd64}})
			if name == "another part" {
				s.Hook(first(1, "/kestrel", cutOff(agenttest.ETag(amd64))))
			}
			s.Hook(c.hook)
			client, notes := newClient(t)
			client.Stall = time.Second
			pin, err := client.PinRelease(t.Context(), Source{Repository: s.Repository(), Version: "latest"})
			switch {
			case c.err != "" && err == nil:
				t.Error("no error")
			case c.err != "":
				mustContain(t, err.Error(), c.err)
			case err != nil:
				t.Error(err)
			case pin.SHA256["amd64"] != agenttest.SHA256(amd64):
				t.Errorf("pinned %v", pin.SHA256)
			}
			var ranges []string
			for _, r := range s.Requests("/kestrel") {
				ranges = append(ranges, r.Header.Get("Range"))
			}
			if fmt.Sprint(ranges) != fmt.Sprint(c.ranges) {
				t.Errorf("ranges %q, want %q", ranges, c.ranges)
			}
			mustContain(t, notes.String(), c.says)
		})
	}
}

// TestBounds: a server that sends without end, or says nothing of the size, is stopped.
func TestBounds(t *testing.T) {
	s := agenttest.New(t)
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return true
			}
		}
		return true
	})
	client, _ := newClient(t)
	_, err := client.Release(t.Context(), s.Repository(), "latest")
	if err == nil {
		t.Fatal("no error")
	}
	mustContain(t, err.Error(), fmt.Sprintf("has more than %d bytes", maxRelease))
}

func TestCancel(t *testing.T) {
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"kestrel": amd64}})
	s.Hook(first(1, "/kestrel", stall))
	client, _ := newClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	client.Progress = func(int64, int64) { cancel() }
	if _, err := client.PinURL(ctx, Source{URL: s.File("v1", "kestrel")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRateLimit(t *testing.T) {
	reset := time.Now().Add(90 * time.Second).Truncate(time.Second)
	epoch := fmt.Sprint(reset.Unix())
	at := reset.UTC().Format("2006-01-02 15:04:05 UTC")
	for name, c := range map[string]struct {
		code   int
		header map[string]string
		want   string
	}{
		"primary":   {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": epoch}, at},
		"secondary": {429, map[string]string{"Retry-After": "90"}, "in 1m30s"},
		"date":      {429, map[string]string{"Retry-After": reset.UTC().Format(http.TimeFormat)}, at},
		"no time":   {429, nil, "try again later"},
		"no number": {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, "try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.New(t)
			s.Hook(func(w http.ResponseWriter, _ *http.Request) bool {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.code)
				return true
			})
			client, _ := newClient(t)
			_, err := client.Release(t.Context(), s.Repository(), "latest")
			var limit *RateLimitError
			if !errors.As(err, &limit) {
				t.Fatalf("got %v", err)
			}
			mustContain(t, err.Error(), c.want, "GITHUB_TOKEN")
			if n := len(s.Requests("/latest")); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestToken: the token goes to the API alone, and no redirect takes it elsewhere; nobody prints it.
func TestToken(t *testing.T) {
	const token = "SECRET-TOKEN"
	elsewhere := agenttest.New(t)
	elsewhere.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		agenttest.ServeFile(w, r, amd64)
		return true
	})
	s := agenttest.New(t, &agenttest.Release{Tag: "v1", Files: map[string][]byte{"kestrel": amd64}})
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/kestrel") {
			return false
		}
		http.Redirect(w, r, elsewhere.URL+"/store?signature=SECRET-SIGNATURE", http.StatusFound)
		return true
	})
	client, notes := newClient(t)
	client.Token, client.API = token, s.API()
	if _, err := client.PinRelease(t.Context(), Source{Repository: s.Repository(), Version: "v1"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests("/tags/v1")[0].Header.Get("Authorization"); got != "Bearer "+token {
		t.Errorf("the API got %q", got)
	}
	for _, r := range elsewhere.Requests("") {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("another server got %q", got)
		}
	}
	if len(elsewhere.Requests("/store")) == 0 {
		t.Error("the redirect was not followed")
	}

	// Without --api-url it is for api.github.com alone, whatever repository a file names.
	client.API = ""
	if _, err := client.Release(t.Context(), s.Repository(), "v1"); err != nil {
		t.Fatal(err)
	}
	requests := s.Requests("/tags/v1")
	if got := requests[len(requests)-1].Header.Get("Authorization"); got != "" {
		t.Errorf("a server that is not GitHub got %q", got)
	}

	elsewhere.Close()
	client.API = s.API()
	_, err := client.PinRelease(t.Context(), Source{Repository: s.Repository(), Version: "v1"})
	if err == nil {
		t.Fatal("no error")
	}
	if all := err.Error() + notes.String(); strings.Contains(all, "SECRET") {
		t.Errorf("a secret is in\n%s", all)
	}
}

func TestRedirects(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}))
	t.Cleanup(secure.Close)
	s := agenttest.New(t)
	s.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		to := map[string]string{"/plain": "http://example.com/", "/file": "file:///etc/passwd", "/loop": "/loop"}[r.URL.Path]
		http.Redirect(w, r, to, http.StatusFound)
		return true
	})
	for from, want := range map[string]string{
		secure.URL + "/k": "redirected from https to http",
		s.URL + "/plain":  "plain http is for this machine alone",
		s.URL + "/file":   "is no https URL",
		s.URL + "/loop":   "redirected 10 times",
	} {
		client, notes := newClient(t)
		client.Transport = secure.Client().Transport
		_, err := client.PinURL(t.Context(), Source{URL: from})
		if err == nil {
			t.Fatalf("%s: no error", from)
		}
		mustContain(t, err.Error(), want)
		if notes.String() != "" {
			t.Errorf("%s: tried again: %s", from, notes)
		}
	}
}

func TestProxy(t *testing.T) {
	proxy := agenttest.New(t)
	proxy.Hook(func(w http.ResponseWriter, r *http.Request) bool {
		agenttest.ServeFile(w, r, amd64)
		return true
	})
	s := agenttest.New(t)
	client, _ := newClient(t)
	client.Transport = &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}
	if _, err := client.PinURL(t.Context(), Source{URL: s.URL + "/kestrel"}); err != nil {
		t.Fatal(err)
	}
	if len(proxy.Requests("/kestrel")) != 1 || len(s.Requests("")) != 0 {
		t.Error("the proxy was not asked")
	}
}

func TestDecodeRelease(t *testing.T) {
	golden, err := os.ReadFile("testdata/release.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRelease(golden)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tag != "v0.7.3" || r.names() != "checksums.txt, kestrel" {
		t.Errorf("%s: %s", r.Tag, r.names())
	}
	a := r.asset("kestrel")
	if a.Size != 9797816 || a.SHA256[:4] != "8b1a" || !strings.HasSuffix(a.URL, "/v0.7.3/kestrel") {
		t.Errorf("%+v", a)
	}
	for src, want := range map[string]string{
		``:                               "not the JSON of a release",
		`[]`:                             "not the JSON of a release",
		`{}`:                             "is no tag",
		`{"tag_name":"a\nb"}`:            "is no tag",
		`{"tag_name":"v1","draft":true}`: "is a draft",
		`{"tag_name":"v1","assets":[{"name":"../k"}]}`:                                                "is no file name",
		`{"tag_name":"v1","assets":[{"name":"k"},{"name":"k"}]}`:                                      "assets are called k",
		`{"tag_name":"v1","assets":[{"name":"k","size":-1}]}`:                                         "has -1 bytes",
		`{"tag_name":"v1","assets":[{"name":"k","digest":"sha512:00"}]}`:                              "has the digest",
		`{"tag_name":"v1","assets":[{"name":"k","digest":"sha256:` + strings.Repeat("A", 64) + `"}]}`: "has the digest",
	} {
		_, err := DecodeRelease([]byte(src))
		if err == nil {
			t.Errorf("%s: no error", src)
			continue
		}
		mustContain(t, err.Error(), want)
	}
}
