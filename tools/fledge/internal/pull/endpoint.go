package pull

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

var errStalled = errors.New("the server stopped sending")

// refusal is an error that another attempt at the same place would not change.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// endpoint is a repository of a registry, or of a mirror.
type endpoint struct {
	place
	host       string // the registry as credentials and messages know it
	repository string
	registry   name.Registry
	base       http.RoundTripper

	mu         sync.Mutex   // for what follows
	client     *http.Client // nil before the first request
	authorized bool         // whether client has credentials
	keychain   *credentials // nil before they are looked for
}

func newEndpoint(p place, base http.RoundTripper) (*endpoint, error) {
	e := &endpoint{place: p, host: reference.Domain(p.name), repository: reference.Path(p.name)}
	api := e.host
	if api == dockerHub {
		api = dockerHubAPI
	}
	var options []name.Option
	if p.insecure || isLoopback(api) {
		options = append(options, name.Insecure)
	}
	var err error
	if e.registry, err = name.NewRegistry(api, options...); err != nil {
		return nil, err
	}
	if t, ok := base.(*http.Transport); ok && p.insecure {
		t = t.Clone()
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // as insecure = true in registries.conf asks
		base = t
	}
	e.base = transport.NewUserAgent(&guard{next: base, host: api, insecure: p.insecure}, "fledge")
	return e, nil
}

func isLoopback(host string) bool {
	u := url.URL{Host: host}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
}

// maxErrorBody is how much of the body of an error is read, in bytes: of a longer one, such as a proxy's page, package
// transport would not even tell the status.
const maxErrorBody = 32 << 10

// guard asks registries of this machine by plain http, and nobody else except a registry that may be asked like that.
// It cuts the bodies of errors, and of the answer that tells that there is a registry.
type guard struct {
	next     http.RoundTripper
	host     string // of the registry
	insecure bool
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	switch plain := req.URL.Scheme != "https"; {
	case plain && !isLoopback(host) && !(g.insecure && host == g.host):
		return nil, refusal{fmt.Errorf("%s: plain http is for this machine alone; `insecure = true` in a [[registry]] of "+
			"registries.conf allows it", host)}
	case !plain && !g.insecure && isLoopback(host) && host == g.host:
		req = req.Clone(req.Context())
		req.URL.Scheme = "http"
	}
	resp, err := g.next.RoundTrip(req)
	if err == nil && (resp.StatusCode >= 400 || req.URL.Path == "/v2/") {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
	}
	return resp, err
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return refusal{fmt.Errorf("redirected from https to http, to %s", req.URL.Host)}
	}
	if len(via) >= 10 {
		return refusal{errors.New("redirected 10 times")}
	}
	return nil
}

// get asks for a path below the repository: without credentials first, because most images are public and a login that
// has expired must not lock them.
func (e *endpoint) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	resp, err := e.send(ctx, path, header, false)
	if !refused(err) {
		return resp, err
	}
	again, second := e.send(ctx, path, header, true)
	if errors.Is(second, errNoCredentials) {
		return nil, err
	}
	return again, second
}

var errNoCredentials = errors.New("no credentials")

// refused says whether credentials may help. Registries hide with a 404 what a user may not see, and many let those
// who are logged in ask more often.
func refused(err error) bool {
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return true
	}
	return false
}

// statusOf is the status with which a registry or its token server refused, 0 for other errors.
func statusOf(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

func (e *endpoint) send(ctx context.Context, path string, header http.Header, authorize bool) (*http.Response, error) {
	client, err := e.session(ctx, authorize)
	if err != nil {
		return nil, err
	}
	url := e.registry.Scheme() + "://" + e.registry.RegistryStr() + "/v2/" + e.repository + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, refusal{err}
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Accept-Encoding", "identity") // digests are those of the bytes as they are stored
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent,
		http.StatusRequestedRangeNotSatisfiable); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// session gives what sends requests: once it had to have credentials it keeps them.
func (e *endpoint) session(ctx context.Context, authorize bool) (*http.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil && (e.authorized || !authorize) {
		return e.client, nil
	}
	auth := authn.Anonymous
	if authorize {
		if e.keychain == nil {
			// A helper may wait for its user, and has its own time for that.
			e.keychain = findCredentials(context.WithoutCancel(ctx), e.host, e.repository)
		}
		if auth = e.keychain.auth; auth == nil {
			return nil, errNoCredentials
		}
	}
	scope := e.registry.Repo(e.repository).Scope(transport.PullScope)
	t, err := transport.NewWithContext(ctx, e.registry, auth, e.base, []string{scope})
	if err != nil {
		return nil, err
	}
	e.client, e.authorized = &http.Client{Transport: t, CheckRedirect: checkRedirect}, authorize
	return e.client, nil
}

// credentials says which were used, or where they were looked for.
func (e *endpoint) credentials() *credentials {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keychain
}

// patience gives a context that ends when touch was not called for a time.
func patience(parent context.Context, stall time.Duration) (ctx context.Context, touch func(), stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	watchdog := time.AfterFunc(stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, stall)) })
	return ctx, func() { watchdog.Reset(stall) }, func() { watchdog.Stop(); cancel(nil) }
}

// plainError takes the URL out of an error: file stores put signatures into theirs.
func plainError(ctx context.Context, err error) error {
	if stalled := context.Cause(ctx); err != nil && errors.Is(stalled, errStalled) {
		return stalled
	}
	if wrapped, ok := err.(*url.Error); ok && statusOf(err) == 0 {
		return wrapped.Err
	}
	return err
}

// isPlainServer knows the error of package net/http for a server without TLS; it has no type.
func isPlainServer(err error) bool {
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// final says whether another attempt would get the same error.
func (e *endpoint) final(err error) bool {
	var no refusal
	var answer *transport.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &no), errors.As(err, &certificate):
		return true
	case errors.As(err, &answer):
		return !answer.Temporary()
	}
	return e.registry.Scheme() == "https" && isPlainServer(err)
}
