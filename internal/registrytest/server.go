// Package registrytest runs docker-registry for tests, on this machine, and what it has not: a token server.
package registrytest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// Who may pull from a registry with a password.
const (
	User     = "robot"
	Password = `pa$$w\1rd-of-the-registry`
)

// Server is a running docker-registry.
type Server struct {
	Addr    string // as image references have it
	Storage string // folder, in docker-registry's own form
	Auth    bool   // it wants User and Password
	Stop    func()
}

// Start runs docker-registry on a free port of 127.0.0.1. The sections are YAML for its configuration file.
func Start(t testing.TB, storage string, http, auth string) *Server {
	t.Helper()
	imagetest.Need(t, "docker-registry")
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
	// It takes REGISTRY_… for its own configuration, REGISTRY_AUTH_FILE too.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") })
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	s := &Server{Addr: addr, Storage: storage, Stop: func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}}
	t.Cleanup(s.Stop)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(deadline) {
			s.Stop()
			t.Fatalf("docker-registry does not listen on %s: %v\n%s", addr, err, &log)
		}
	}
}

// StartOpen runs one that everybody may push to.
func StartOpen(t testing.TB) *Server {
	t.Helper()
	return Start(t, t.TempDir(), "", "")
}

// StartWithPassword runs one that wants User and Password.
func StartWithPassword(t testing.TB) *Server {
	t.Helper()
	imagetest.Need(t, "htpasswd")
	line, err := exec.Command("htpasswd", "-Bbn", User, Password).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, bytes.TrimSpace(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Start(t, t.TempDir(), "", fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}", path))
	s.Auth = true
	return s
}
