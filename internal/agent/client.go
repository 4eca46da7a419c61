package agent

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const githubAPI = "https://api.github.com"

// Client asks servers for releases and files. It takes https alone, and http from this machine.
type Client struct {
	Transport http.RoundTripper       // what sends requests; nil is http.DefaultTransport
	API       string                  // root of GitHub's API; "" is that of the repository's server
	Token     string                  // for api.github.com, or the host of API, and no other
	Pauses    []time.Duration         // before each further attempt
	Stall     time.Duration           // how long a server may send nothing
	Note      func(message string)    // told what was found and what went wrong for now; may be nil
	Progress  func(done, total int64) // told of a program's bytes; total -1 is unknown; may be nil
	Keep      func(arch string) Sink  // gives what takes the program for an architecture, before its checks; may be nil
}

// Attempts and patience of a Client with good manners.
var (
	DefaultPauses = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	DefaultStall  = 30 * time.Second
)

var (
	errNotFound = errors.New("404: no such file")
	errStalled  = errors.New("the server stopped sending")
)

func (c *Client) note(format string, args ...any) {
	if c.Note != nil {
		c.Note(fmt.Sprintf(format, args...))
	}
}

// CheckURL tells whether a URL may be asked: https, or http on this machine, without a user in it.
func CheckURL(raw string) error {
	_, err := checkURL(raw)
	return err
}

// checkURL refuses URLs that are not asked: plain http elsewhere than on this machine, and those with a password, which
// would end up in logs and files.
func checkURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%.80q is no URL", raw) // the error of Parse quotes it whole
	case u.User != nil:
		return nil, fmt.Errorf("%s has a user in it: builds read credentials from ~/.netrc", display(raw))
	case u.Host == "" || u.Opaque != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("%.80q is no https URL, such as https://example.com/PATH", display(raw))
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("%s: plain http is for this machine alone; use https", display(raw))
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// display is a URL for messages, without what may be secret in it.
func display(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a bad URL"
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	return strings.ReplaceAll(strings.ReplaceAll(u.String(), "%7B", "{"), "%7D", "}")
}

// refusal is an error that another attempt would not change.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// checkRedirect follows redirects to URLs that may be asked, and never from https to http.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if _, err := checkURL(req.URL.String()); err != nil {
		return refusal{fmt.Errorf("redirected: %w", err)}
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return refusal{fmt.Errorf("redirected from https to http, to %s", req.URL.Host)}
	}
	if len(via) >= 10 {
		return refusal{errors.New("redirected 10 times")}
	}
	return nil
}

// tokenTransport adds the token to requests to the API's host. It is asked for every redirect, while a header of the
// request would go along to other ports and subdomains.
type tokenTransport struct {
	next         http.RoundTripper
	scheme, host string
	token        string
}

func (t *tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.token != "" && req.URL.Scheme == t.scheme && req.URL.Host == t.host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	return t.next.RoundTrip(req)
}

// httpClient is what sends the client's requests.
func (c *Client) httpClient() (*http.Client, error) {
	api := c.API
	if api == "" {
		api = githubAPI
	}
	u, err := checkURL(api)
	if err != nil {
		return nil, fmt.Errorf("API: %w", err)
	}
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	transport := &tokenTransport{next: next, scheme: u.Scheme, host: u.Host, token: c.Token}
	return &http.Client{Transport: transport, CheckRedirect: checkRedirect}, nil
}

// RateLimitError says that a server takes no more requests for now.
type RateLimitError struct {
	Host  string
	Reset time.Time // zero when the server does not say
	In    time.Duration
}

func (e *RateLimitError) Error() string {
	when := "later"
	if !e.Reset.IsZero() {
		when = fmt.Sprintf("at %s, in %s", e.Reset.UTC().Format("2006-01-02 15:04:05 UTC"), e.In)
	}
	return fmt.Sprintf("%s takes no more requests for now: try again %s; with a token in GITHUB_TOKEN GitHub takes more",
		e.Host, when)
}

// rateLimit reads the answer of a server that has had enough, nil of others:
// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit.
func rateLimit(resp *http.Response, now time.Time) *RateLimitError {
	h := resp.Header
	after := h.Get("Retry-After")
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
	case resp.StatusCode == http.StatusForbidden && (after != "" || h.Get("X-Ratelimit-Remaining") == "0"):
	default:
		return nil
	}
	e := &RateLimitError{Host: resp.Request.URL.Host}
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		e.Reset = now.Add(time.Duration(seconds) * time.Second)
	} else if date, err := http.ParseTime(after); err == nil {
		e.Reset = date
	} else if epoch, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
		e.Reset = time.Unix(epoch, 0)
	}
	if !e.Reset.IsZero() {
		e.In = e.Reset.Sub(now).Round(time.Second)
	}
	return e
}
