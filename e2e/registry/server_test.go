package registry

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	user     = "robot"
	password = `pa$$w\1rd-of-the-registry`
)

// server is a running docker-registry.
type server struct {
	addr    string // as image references have it
	storage string
	auth    bool // htpasswd with user and password
	stop    func()
}

// start runs docker-registry on a free port of 127.0.0.1. The sections are YAML for its configuration file.
func start(t *testing.T, storage string, http, auth string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q%s}\n%s\n", storage, addr, http, auth)
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", path)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	s := &server{addr: addr, storage: storage, stop: func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}}
	t.Cleanup(s.stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(deadline) {
			s.stop()
			t.Fatalf("docker-registry does not listen on %s: %v\n%s", addr, err, &log)
		}
	}
}

func startOpen(t *testing.T) *server {
	t.Helper()
	return start(t, t.TempDir(), "", "")
}

func startWithPassword(t *testing.T) *server {
	t.Helper()
	line, err := exec.Command("htpasswd", "-Bbn", user, password).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, bytes.TrimSpace(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "", fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}", path))
	s.auth = true
	return s
}

func (s *server) do(t *testing.T, method, target, mediaType string, body []byte, want int) http.Header {
	t.Helper()
	if !strings.HasPrefix(target, "http") {
		target = "http://" + s.addr + target
	}
	req, err := http.NewRequest(method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if s.auth {
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
	return s.addr + "/" + repository + ":" + tag
}

// alter changes a byte of a blob in the registry's storage, which the registry does not notice.
func (s *server) alter(t *testing.T, b blob) {
	t.Helper()
	path := filepath.Join(s.storage, "docker/registry/v2/blobs/sha256", b.hex()[:2], b.hex(), "data")
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
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr})
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
