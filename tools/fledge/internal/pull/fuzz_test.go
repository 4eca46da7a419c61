package pull

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

const (
	fuzzRequests = 200      // that one pull may send, beside one for each 100 bytes of the answers
	fuzzError    = 64 << 10 // bytes that an error may have
)

// scripted is a registry, its token server and whatever it redirects to: each has one answer as it would come over the
// wire, status line and headers included.
type scripted struct {
	ping, other, top, nested, config, layer []byte

	mu       sync.Mutex
	requests int
}

// RoundTrip implements http.RoundTripper.
func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	raw := s.other
	switch path := req.URL.Path; {
	case path == "/v2/":
		raw = s.ping
	case strings.HasSuffix(path, "/manifests/1"):
		raw = s.top
	case strings.Contains(path, "/manifests/"):
		raw = s.nested
	case strings.HasSuffix(path, "/blobs/"+digestOf(body(s.config))):
		raw = s.config
	case strings.Contains(path, "/blobs/"):
		raw = s.layer
	}
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), req)
}

// body is what follows the headers of an answer.
func body(answer []byte) []byte {
	_, b, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	return b
}

// fit puts the descriptor of another answer's body in place of a word, so that digests are no hurdle.
func fit(answer []byte, word string, other []byte) []byte {
	b := body(other)
	return bytes.ReplaceAll(answer, []byte(word), fmt.Appendf(nil, `"digest":%q,"size":%d`, digestOf(b), len(b)))
}

// ok is an answer with a body.
func ok(body string) []byte { return []byte("HTTP/1.1 200 OK\r\n\r\n" + body) }

// Documents whose digests are filled in.
const (
	fuzzIndex = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{` +
		`"mediaType":"application/vnd.oci.image.manifest.v1+json",NESTED,"platform":{"os":"linux","architecture":"amd64"}}]}`
	fuzzManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json",CONFIG},` +
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar",LAYER}]}`
	fuzzLayer  = "layer"
	fuzzConfig = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers",` +
		`"diff_ids":["sha256:9e6a6b4e1cf8e3e3c4ee0dbb53a2f5de1dd3e9fb7c5a9dbc5a9a3fdc9a9fd4a4"]}}`
	fuzzChallenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1/token\",service=\"s\"\r\n\r\n"
)

// FuzzPull pulls an image from a registry whose every answer is hostile: what comes of it is an error, or an image whose
// parts are those of their digests, and neither memory nor disk nor requests go beyond what the answers have.
func FuzzPull(f *testing.F) {
	config := strings.Replace(fuzzConfig, "sha256:9e6a6b4e1cf8e3e3c4ee0dbb53a2f5de1dd3e9fb7c5a9dbc5a9a3fdc9a9fd4a4",
		digestOf([]byte(fuzzLayer)), 1)
	add := func(ping, other, top []byte, layer string) {
		f.Add(ping, other, top, ok(fuzzManifest), ok(config), []byte(layer))
	}
	good := string(ok(fuzzLayer))
	add(ok(""), nil, ok(fuzzIndex), good)
	add([]byte(fuzzChallenge), ok(`{"token":"t","expires_in":60}`), ok(fuzzManifest), good)
	add([]byte("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\r\n"), nil, ok(fuzzManifest), good)
	add(ok(""), ok(fuzzLayer), ok(fuzzIndex), "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://localhost/store\r\n\r\n")
	add(ok(""), nil, []byte("HTTP/1.1 404 Not Found\r\n\r\n"+`{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}`), good)
	add(ok(""), nil, []byte("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n"), good)
	add(ok(""), nil, []byte("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"+fuzzIndex),
		"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyer\r\n0\r\n\r\n")
	isolate(f)
	ref, err := ParseReference("127.0.0.1/app:1", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ping, other, top, nested, config, layer []byte) {
		s := &scripted{ping: ping, other: other, config: config, layer: layer}
		s.nested = fit(fit(nested, "CONFIG", config), "LAYER", layer)
		s.top = fit(fit(fit(top, "CONFIG", config), "LAYER", layer), "NESTED", s.nested)
		size := len(ping) + len(other) + len(s.top) + len(s.nested) + len(config) + len(layer)
		c := &Client{Cache: t.TempDir(), Pauses: []time.Duration{0}, Stall: time.Minute, Transport: s}
		var im *Image
		var err error
		allocated := fuzztest.Allocated(func() { im, err = c.Pull(t.Context(), ref, "", amd64) })
		if s.requests > fuzzRequests+size/100 {
			t.Errorf("%d requests for answers of %d bytes", s.requests, size)
		}
		// A request has buffers, the largest of them for a blob.
		if limit := uint64(16<<20 + s.requests*(1<<20+10*size)); allocated > limit {
			t.Errorf("%d bytes were allocated, and at most %d may be", allocated, limit)
		}
		checkPulled(t, c, im, err, size*s.requests)
	})
}

// checkPulled looks at what a pull gave, and that the cache has at most so many bytes.
func checkPulled(t *testing.T, c *Client, im *Image, err error, most int) {
	t.Helper()
	total := int64(0)
	if err := filepath.WalkDir(c.Cache, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if total > int64(most) {
		t.Errorf("the cache has %d bytes, and the answers %d", total, most)
	}
	if err != nil {
		if n := len(err.Error()); n > fuzzError {
			t.Errorf("an error of %d bytes: %.1000s", n, err)
		}
		return
	}
	defer im.Close()
	if len(im.Layers) == 0 || im.Config == nil || im.Digest == "" {
		t.Errorf("half an image: %+v", im)
	}
	if raw, err := os.ReadFile(im.ConfigFile); err != nil || !bytes.Equal(raw, im.RawConfig) ||
		filepath.Base(im.ConfigFile) != strings.TrimPrefix(digestOf(raw), "sha256:") {
		t.Errorf("config %s: %v", im.ConfigFile, err)
	}
	for _, l := range im.Layers {
		if l.File == "" {
			continue
		}
		if err := verifyFile(l.File, l.Digest, l.Size); err != nil {
			t.Error(err)
		}
	}
}

// FuzzDaemon pulls an image from a docker daemon: its answers to inspect and to save, headers included.
func FuzzDaemon(f *testing.F) {
	image := randomImage(f, "amd64", 100, 1)
	id, saved := savedImage(f, image)
	f.Add(ok(`{"Id":"`+id+`"}`), ok(saved))
	f.Add(ok(`{"Id":"ID"}`), ok(saved))
	f.Add([]byte("HTTP/1.1 500 Internal Server Error\r\n\r\n"+`{"message":"no"}`), ok(""))
	isolate(f)
	socket := filepath.Join(f.TempDir(), "s")
	f.Setenv("DOCKER_HOST", "unix://"+socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		f.Fatal(err)
	}
	var inspected, stored []byte // what is answered now
	go answerWith(listener, func(req *http.Request) []byte {
		if req.URL.Path == "/images/get" {
			return stored
		}
		return inspected
	})
	f.Cleanup(func() { listener.Close() })
	ref, err := ParseReference("docker-daemon:app:1", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, inspect, save []byte) {
		inspected, stored = bytes.ReplaceAll(inspect, []byte("ID"), []byte(id)), save
		c := &Client{Cache: t.TempDir()}
		var im *Image
		var err error
		fuzztest.Limit(t, 16<<20+20*(len(inspected)+len(save)), func() { im, err = c.Pull(t.Context(), ref, "", amd64) })
		checkPulled(t, c, im, err, 2*len(save))
	})
}

// savedImage is what docker save makes of an image, and its ID.
func savedImage(t testing.TB, image v1.Image) (id, archive string) {
	t.Helper()
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("app:1")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tarball.Write(tag, image, &b); err != nil {
		t.Fatal(err)
	}
	return config.String(), b.String()
}

// answerWith sends raw answers until the listener is closed, one a connection.
func answerWith(listener net.Listener, answer func(*http.Request) []byte) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			io.Copy(conn, bytes.NewReader(answer(req)))
		}
		conn.Close()
	}
}
