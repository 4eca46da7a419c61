package pull

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/registrytest"
)

// trusting is a transport that trusts an identity.
func trusting(t *testing.T, id *registrytest.Identity) *http.Transport {
	t.Helper()
	pem, err := os.ReadFile(id.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
}

// TestTokens: a registry that takes bearer tokens alone.
func TestTokens(t *testing.T) {
	home := isolate(t)
	id := registrytest.NewIdentity(t)
	open := startRegistry(t, false)
	public, secret := randomImage(t, "amd64", 1000, 1), randomImage(t, "amd64", 1000, 2)
	open.push(t, "public/app:1", public)
	open.push(t, "team/app:1", secret)
	// By name: go-containerregistry sends nobody to a token server with a private address.
	tokenURL := strings.Replace(registrytest.StartTokenServer(t, id), "127.0.0.1", "localhost", 1)
	r := registrytest.StartWithTokens(t, open.Server, id, tokenURL)
	client := func() *Client {
		c, _ := newClient(t)
		c.Transport = trusting(t, id)
		return c
	}
	checkLayers(t, mustPull(t, client(), r.Addr+"/public/app:1", "", amd64), public)
	mustFail(t, client(), r.Addr+"/team/app:1", "", amd64, "401 Unauthorized", "none; looked in ")

	file := filepath.Join(home, ".docker", "config.json")
	write(t, file, fmt.Sprintf(`{"auths": {%q: {"username": "robot", "password": "wrong"}}}`, r.Addr))
	mustFail(t, client(), r.Addr+"/team/app:1", "", amd64, "401 Unauthorized from localhost:", "these credentials are wrong")
	// A login that has expired does not lock what is public.
	checkLayers(t, mustPull(t, client(), r.Addr+"/public/app:1", "", amd64), public)
	write(t, file, fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, r.Addr, user, password))
	checkLayers(t, mustPull(t, client(), r.Addr+"/team/app:1", "", amd64), secret)
}

// TestTLS: only a registry of this machine is asked by plain http, unless registries.conf says so.
func TestTLS(t *testing.T) {
	home := isolate(t)
	id := registrytest.NewIdentity(t)
	open := startRegistry(t, false)
	image := randomImage(t, "amd64", 1000, 1)
	open.push(t, "app:1", image)
	secure := registrytest.StartWithTLS(t, open.Server, id)
	// 0.0.0.0 reaches this machine, but is not one of its names for Fledge.
	plain := strings.Replace(open.Addr, "127.0.0.1", "0.0.0.0", 1)
	conf := filepath.Join(home, "registries.conf")

	c, _ := newClient(t)
	c.Transport = trusting(t, id)
	checkLayers(t, mustPull(t, c, secure.Addr+"/app:1", "", amd64), image)
	c, _ = newClient(t)
	mustFail(t, c, secure.Addr+"/app:1", "", amd64, "certificate")
	mustFail(t, c, plain+"/app:1", "", amd64, "server gave HTTP response to HTTPS client", "`insecure = true`")
	write(t, conf, fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n[[registry]]\nlocation = %q\ninsecure = true\n",
		secure.Addr, plain))
	checkLayers(t, mustPull(t, c, secure.Addr+"/app:1", "", amd64), image)
	c, _ = newClient(t)
	checkLayers(t, mustPull(t, c, plain+"/app:1", "", amd64), image)
	// Elsewhere on the private network it is not allowed either.
	mustFail(t, c, "10.255.255.1:1/app:1", "", amd64, "plain http is for this machine alone")
}

// TestRedirect: a registry may send to a store of files, but not from https to http.
func TestRedirect(t *testing.T) {
	isolate(t)
	id := registrytest.NewIdentity(t)
	open := startRegistry(t, false)
	open.push(t, "app:1", randomImage(t, "amd64", 1000, 1))
	proxy := startMisbehavingProxy(t, open)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		http.Redirect(w, r, "http://"+proxy.addr+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	certificate, err := tls.LoadX509KeyPair(id.Certificate, id.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	c, _ := newClient(t)
	c.Transport = trusting(t, id)
	addr := strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "0.0.0.0", 1)
	mustFail(t, c, addr+"/app:1", "", amd64, "redirected from https to http")
}
