package registry

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/registrytest"
)

const (
	user     = registrytest.User
	password = registrytest.Password
)

// server is a running docker-registry.
type server struct{ *registrytest.Server }

func startOpen(t *testing.T) *server { return &server{registrytest.StartOpen(t)} }

func startWithPassword(t *testing.T) *server { return &server{registrytest.StartWithPassword(t)} }

func (s *server) do(t *testing.T, method, target, mediaType string, body []byte, want int) http.Header {
	t.Helper()
	if !strings.HasPrefix(target, "http") {
		target = "http://" + s.Addr + target
	}
	req, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if s.Auth {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d, %v\n%s", method, target, resp.Status, want, err, answer)
	}
	return resp.Header
}

// pushBlobs uploads files by the distribution specification's two requests.
func (s *server) pushBlobs(t *testing.T, repository string, blobs ...blob) {
	t.Helper()
	for _, b := range blobs {
		header := s.do(t, "POST", "/v2/"+repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
		location, err := url.Parse(header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		query := location.Query()
		query.Set("digest", b.digest())
		location.RawQuery = query.Encode()
		s.do(t, "PUT", location.String(), "application/octet-stream", b.data, http.StatusCreated)
	}
}

func (s *server) pushManifest(t *testing.T, repository, tag string, b blob) {
	t.Helper()
	s.do(t, "PUT", "/v2/"+repository+"/manifests/"+tag, b.mediaType, b.data, http.StatusCreated)
}

// push uploads an image and gives its reference with the tag.
func (s *server) push(t *testing.T, repository, tag string, i image) string {
	t.Helper()
	s.pushBlobs(t, repository, i.blobs()...)
	s.pushManifest(t, repository, tag, i.blob)
	return s.Addr + "/" + repository + ":" + tag
}

// alter changes a byte of a blob in the registry's storage, which the registry does not notice.
func (s *server) alter(t *testing.T, b blob) {
	t.Helper()
	path := filepath.Join(s.Storage, "docker/registry/v2/blobs/sha256", b.hex()[:2], b.hex(), "data")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// startRateLimitingProxy stands before a real registry and answers 429 to every request for a manifest: docker-registry
// has no rate limit of its own.
func startRateLimitingProxy(t *testing.T, s *server) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Addr})
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`, http.StatusTooManyRequests)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p.Listener.Addr().String()
}
