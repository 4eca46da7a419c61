package pull

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

// endless answers requests whose path has a word with a body that does not end, whatever length it tells, and the
// others as another transport does.
type endless struct {
	word   string
	status int
	length int64
	header http.Header
	others http.RoundTripper
	read   atomic.Int64 // bytes of such bodies
}

// tooMuch is where a test gives up, in bytes.
const tooMuch = 256 << 20

func (e *endless) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.Contains(req.URL.Path, e.word) {
		return e.others.RoundTrip(req)
	}
	header := e.header
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: e.status, ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: e.length,
		Body: io.NopCloser(e), Request: req,
	}, nil
}

func (e *endless) Read(p []byte) (int, error) {
	if e.read.Add(int64(len(p))) > tooMuch {
		return 0, errors.New("the test gives up")
	}
	for i := range p {
		p[i] = '['
	}
	return len(p), nil
}

// TestEndless: answers that do not end take neither memory nor disk without end, whatever they say of their length.
func TestEndless(t *testing.T) {
	isolate(t)
	config := ok(strings.Replace(fuzzConfig, "sha256:9e6a6b4e1cf8e3e3c4ee0dbb53a2f5de1dd3e9fb7c5a9dbc5a9a3fdc9a9fd4a4",
		digestOf([]byte(fuzzLayer)), 1))
	layer := ok(fuzzLayer)
	manifest := fit(fit(ok(fuzzManifest), "CONFIG", config), "LAYER", layer)
	good := &scripted{ping: ok(""), top: manifest, config: config, layer: layer}
	challenged := &scripted{ping: []byte(fuzzChallenge), top: manifest, config: config, layer: layer}
	huge := &scripted{ping: ok(""), config: config, layer: layer, top: []byte(strings.Replace(string(manifest),
		`"size":5`, `"size":1152921504606846976`, 1))}
	for name, tt := range map[string]struct {
		*endless
		want string
	}{
		"ping":                 {&endless{word: "/v2/", status: 200, length: -1, others: good}, ""},
		"manifest":             {&endless{word: "/manifests/", status: 200, length: -1, others: good}, "has more than 4194304 bytes"},
		"manifest of 10 GB":    {&endless{word: "/manifests/", status: 200, length: 10e9, others: good}, "has more than 4194304 bytes"},
		"error":                {&endless{word: "/manifests/", status: 500, length: -1, others: good}, "500 Internal Server Error"},
		"token":                {&endless{word: "/token", status: 200, length: -1, others: challenged}, ""},
		"error of tokens":      {&endless{word: "/token", status: 403, length: -1, others: challenged}, "403 Forbidden"},
		"layer":                {&endless{word: "/blobs/", status: 200, length: -1, others: good}, "has altered or cut it"},
		"layer of 10 GB":       {&endless{word: "/blobs/", status: 200, length: 10e9, others: good}, "has 10000000000 bytes, and the manifest says "},
		"layer of 1 EB":        {&endless{word: "/blobs/" + digestOf([]byte(fuzzLayer)), status: 200, length: -1, others: huge}, "no space left on device: 1152921504606846976 more bytes are needed, and there are "},
		"layer told of 416":    {&endless{word: "/blobs/", status: 416, length: -1, others: good}, "the server has less than"},
		"redirect":             {&endless{word: "/blobs/", status: 307, length: -1, others: good, header: http.Header{"Location": {"/v2/app/blobs/x"}}}, "redirected 10 times"},
		"range that is no one": {&endless{word: "/blobs/", status: 206, length: -1, others: good}, "another part of it than it was asked for"},
	} {
		c := &Client{Cache: t.TempDir(), Pauses: []time.Duration{0}, Stall: time.Minute, Transport: tt.endless}
		fuzztest.Limit(t, 256<<20, func() {
			im, err := c.Pull(t.Context(), mustParse(t, "127.0.0.1/app:1"), "", amd64)
			if err == nil {
				im.Close()
				t.Errorf("%s: no error", name)
			} else if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: no %q in\n%v", name, tt.want, err)
			}
		})
		if n := tt.read.Load(); n > 64<<20 {
			t.Errorf("%s: %d bytes were read", name, n)
		}
	}
}
