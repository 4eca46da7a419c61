// Package agenttest serves releases of an agent as GitHub does, on this machine, and can misbehave like any server.
package agenttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server has the API of one repository, team/volant, and its files.
type Server struct {
	*httptest.Server
	mu       sync.Mutex
	releases []*Release // the newest last
	hooks    []Hook
	requests []*http.Request
}

// Release is what the server has of a release.
type Release struct {
	Tag    string
	Files  map[string][]byte
	Digest func(name string, data []byte) string // "" leaves the digest out; nil is the right one
	Size   func(name string, data []byte) int    // nil is the right one
}

// Hook answers a request in the place of the server, or returns false.
type Hook func(w http.ResponseWriter, r *http.Request) bool

// New starts a server.
func New(t testing.TB, releases ...*Release) *Server {
	t.Helper()
	s := &Server{releases: releases}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.CloseClientConnections() // handlers that stall wait for it
		s.Close()
	})
	return s
}

// Repository is the URL of the repository.
func (s *Server) Repository() string { return s.URL + "/team/volant" }

// API is the root of the API.
func (s *Server) API() string { return s.URL + "/api/v3" }

// File is the URL of a release's file.
func (s *Server) File(tag, name string) string {
	return s.Repository() + "/releases/download/" + tag + "/" + name
}

// Hook adds something to try before the server answers by itself.
func (s *Server) Hook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, h)
}

// Add adds a release.
func (s *Server) Add(r *Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases = append(s.releases, r)
}

// Requests are those that came for a path that ends like this.
func (s *Server) Requests(suffix string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*http.Request
	for _, r := range s.requests {
		if strings.HasSuffix(r.URL.Path, suffix) {
			found = append(found, r)
		}
	}
	return found
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(r.Context()))
	hooks, releases := s.hooks, s.releases
	s.mu.Unlock()
	for _, h := range hooks {
		if h(w, r) {
			return
		}
	}
	if tag, ok := strings.CutPrefix(r.URL.Path, "/api/v3/repos/team/volant/releases/"); ok {
		s.serveRelease(w, releases, strings.TrimPrefix(tag, "tags/"))
		return
	}
	for _, release := range releases {
		name, ok := strings.CutPrefix(r.URL.Path, "/team/volant/releases/download/"+release.Tag+"/")
		if data, has := release.Files[name]; ok && has {
			ServeFile(w, r, data)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"message": "Not Found"}`)
}

func (s *Server) serveRelease(w http.ResponseWriter, releases []*Release, tag string) {
	for i := len(releases) - 1; i >= 0; i-- {
		if r := releases[i]; tag == "latest" || r.Tag == tag {
			w.Header().Set("Content-Type", "application/json")
			w.Write(s.describe(r))
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"message": "Not Found"}`)
}

// describe is the JSON of a release.
func (s *Server) describe(r *Release) []byte {
	var assets []map[string]any
	for name, data := range r.Files {
		asset := map[string]any{
			"name": name, "state": "uploaded", "size": len(data), "browser_download_url": s.File(r.Tag, name),
			"digest": "sha256:" + SHA256(data),
		}
		if r.Digest != nil {
			asset["digest"] = nil
			if digest := r.Digest(name, data); digest != "" {
				asset["digest"] = digest
			}
		}
		if r.Size != nil {
			asset["size"] = r.Size(name, data)
		}
		assets = append(assets, asset)
	}
	out, err := json.Marshal(map[string]any{"tag_name": r.Tag, "draft": false, "prerelease": false, "assets": assets})
	if err != nil {
		panic(err)
	}
	return out
}

// SHA256 is in hexadecimal.
func SHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ETag is the strong one that files are served with.
func ETag(data []byte) string { return strconv.Quote(SHA256(data)) }

// ServeFile answers with a file, or the part of it that was asked for.
func ServeFile(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Etag", ETag(data))
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(data)))
}

// Program is a file that looks like an executable of an architecture: an ELF header and some bytes.
func Program(arch string, size int) []byte {
	machine := map[string]byte{"amd64": 62, "arm64": 183}[arch]
	header := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	header[16], header[18] = 2, machine
	for i := len(header); i < size; i++ {
		header = append(header, byte(i*i>>3))
	}
	return header
}
