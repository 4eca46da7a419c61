package pull

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// misbehavingProxy stands before a real registry and does to its blobs what networks do.
type misbehavingProxy struct {
	addr string

	mu       sync.Mutex
	cutAfter int64 // bytes of a blob's answer; 0: all
	cuts     int   // how many answers are cut
	stall    bool  // stop sending in the place of a cut
	noRanges bool
	refuse   int // how many requests for manifests are too many; docker-registry has no rate limit of its own
	requests []*http.Request
}

func startMisbehavingProxy(t *testing.T, r *registry) *misbehavingProxy {
	t.Helper()
	m := &misbehavingProxy{}
	ended := make(chan struct{})
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Addr})
	forward.ErrorLog = log.New(io.Discard, "", 0) // of clients that went away
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m.mu.Lock()
		m.requests = append(m.requests, req.Clone(context.Background()))
		cutAfter, stall := m.cutAfter, m.stall
		if !strings.Contains(req.URL.Path, "/blobs/") || m.cuts == 0 {
			cutAfter = 0
		} else {
			m.cuts--
		}
		if m.noRanges {
			req.Header.Del("Range")
		}
		tooMany := strings.Contains(req.URL.Path, "/manifests/") && m.refuse > 0
		if tooMany {
			m.refuse--
		}
		m.mu.Unlock()
		if tooMany {
			http.Error(w, `{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}`, http.StatusTooManyRequests)
			return
		}
		if cutAfter == 0 {
			forward.ServeHTTP(w, req)
			return
		}
		forward.ServeHTTP(&cutWriter{ResponseWriter: w, left: cutAfter}, req)
		w.(http.Flusher).Flush()
		if stall {
			select {
			case <-req.Context().Done():
			case <-ended:
			}
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(func() {
		close(ended)
		server.CloseClientConnections()
		server.Close()
	})
	m.addr = server.Listener.Addr().String()
	return m
}

// cutWriter swallows what comes after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left -= n
	_, err := c.ResponseWriter.Write(p[:n])
	return len(p), err
}

// seen are all requests.
func (m *misbehavingProxy) seen() []*http.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// ranges are the Range headers of the requests for a blob.
func (m *misbehavingProxy) ranges(digest string) (all []string) {
	for _, r := range m.seen() {
		if strings.HasSuffix(r.URL.Path, "/blobs/"+digest) {
			all = append(all, r.Header.Get("Range"))
		}
	}
	return all
}

// set changes how the proxy misbehaves, and forgets the requests.
func (m *misbehavingProxy) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = nil
	change()
}

// oneLayer is an image with a layer, and the layer's blob.
func oneLayer(t *testing.T, size int64) (im v1.Image, digest string, blob []byte) {
	t.Helper()
	im = randomImage(t, "amd64", size, 1)
	layers, err := im.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return im, digestOf(b.Bytes()), b.Bytes()
}

// cuttable is an image of one layer in a registry behind a proxy that misbehaves.
type cuttable struct {
	*misbehavingProxy
	ref    string
	image  v1.Image
	digest string // of the layer
	blob   []byte // the layer
}

func newCuttable(t *testing.T) *cuttable {
	t.Helper()
	isolate(t)
	r := startRegistry(t, false)
	image, digest, blob := oneLayer(t, 5_000_000)
	r.push(t, "app:1", image)
	proxy := startMisbehavingProxy(t, r)
	return &cuttable{proxy, proxy.addr + "/app:1", image, digest, blob}
}

// partial is the layer's unfinished file in a client's cache.
func (p *cuttable) partial(c *Client) string {
	return filepath.Join(c.partials(), strings.TrimPrefix(p.digest, "sha256:"))
}

func TestResume(t *testing.T) {
	p := newCuttable(t)

	t.Run("a cut connection", func(t *testing.T) {
		c, notes := newClient(t)
		p.set(func() { p.cutAfter, p.cuts = 300_000, 3 }) // the config is one of them, at most
		checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
		ranges := p.ranges(p.digest)
		if len(ranges) < 3 || ranges[0] != "" || ranges[1] == "" || ranges[2] == "" {
			t.Errorf("ranges %q", ranges)
		}
		if !strings.Contains(notes.String(), "cut off after") {
			t.Errorf("notes: %s", notes)
		}
	})

	t.Run("more cuts than attempts", func(t *testing.T) {
		c, _ := newClient(t)
		c.Pauses = []time.Duration{time.Millisecond}
		p.set(func() { p.cutAfter, p.cuts = 1_200_000, 5 }) // but each brings a good deal
		checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
	})

	t.Run("no progress", func(t *testing.T) {
		c, _ := newClient(t)
		p.set(func() { p.cutAfter, p.cuts = 1000, 50 })
		mustFail(t, c, p.ref, "", amd64, "cut off after", "what has come is kept")
	})

	t.Run("no ranges", func(t *testing.T) {
		c, _ := newClient(t)
		p.set(func() { p.cutAfter, p.cuts, p.noRanges = 300_000, 2, true })
		checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
	})
}

// TestAnotherRun: a run goes on where an earlier one was cut off.
func TestAnotherRun(t *testing.T) {
	p := newCuttable(t)
	c, _ := newClient(t)
	c.Pauses = []time.Duration{}
	p.set(func() { p.cutAfter, p.cuts = 900_000, 2 })
	mustFail(t, c, p.ref, "", amd64, "no layer", "cut off after")
	info, err := os.Stat(p.partial(c))
	if err != nil || info.Size() == 0 {
		t.Fatalf("partial file: %v, %v", info, err)
	}
	resumed := false
	c.Progress = func(told Progress) { resumed = resumed || (told.Resumed && told.Digest == p.digest) }
	p.set(func() { p.cuts = 0 })
	checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
	want := "bytes=" + strconv.FormatInt(info.Size(), 10) + "-"
	if ranges := p.ranges(p.digest); len(ranges) != 1 || ranges[0] != want || !resumed {
		t.Errorf("ranges %q, want %s; resumed %v", ranges, want, resumed)
	}
	if _, err := os.Stat(p.partial(c)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file is still there: %v", err)
	}
}

// TestLeftOver: whatever an earlier run has left, what comes of it is right.
func TestLeftOver(t *testing.T) {
	p := newCuttable(t)
	for name, tt := range map[string]struct {
		left     []byte
		requests int
	}{
		"other bytes": {bytes.Repeat([]byte("x"), 1000), 2},
		"too much":    {append(bytes.Clone(p.blob), 'x'), 1},
		"all":         {p.blob, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t)
			p.set(func() {})
			write(t, p.partial(c), string(tt.left))
			checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
			if n := len(p.ranges(p.digest)); n != tt.requests {
				t.Errorf("asked %d times, want %d", n, tt.requests)
			}
		})
	}
}

func TestStall(t *testing.T) {
	p := newCuttable(t)
	stalls := func() { p.cutAfter, p.cuts, p.stall = 300_000, 2, true }

	c, notes := newClient(t)
	c.Stall = time.Second
	p.set(stalls)
	checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
	if !strings.Contains(notes.String(), "stopped sending") {
		t.Errorf("notes: %s", notes)
	}

	c, _ = newClient(t)
	p.set(stalls)
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(Progress) { cancel() }
	if _, err := c.Pull(ctx, mustParse(t, p.ref), "", amd64); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestTooManyRequests(t *testing.T) {
	p := newCuttable(t)
	c, notes := newClient(t)
	p.set(func() { p.refuse = 2 })
	checkLayers(t, mustPull(t, c, p.ref, "", amd64), p.image)
	if !strings.Contains(notes.String(), "TOOMANYREQUESTS: slow down; trying again in 1ms") {
		t.Errorf("notes: %s", notes)
	}
	p.set(func() { p.refuse = 100 })
	mustFail(t, c, p.ref, "", amd64, "429 Too Many Requests", "TOOMANYREQUESTS: slow down", "wait, log in for a higher limit")
}

// TestSizes: a manifest that lies about its layer's size makes nobody fetch more, or believe less.
func TestSizes(t *testing.T) {
	isolate(t)
	r := startRegistry(t, false)
	image, digest, blob := oneLayer(t, 100_000)
	r.push(t, "app:1", image)
	for name, size := range map[string]int{"larger": len(blob) + 1, "smaller": len(blob) - 1} {
		raw, err := image.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		layer, err := image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		real, err := layer[0].Size()
		if err != nil || real != int64(len(blob)) {
			t.Fatal(real, err)
		}
		lie := strings.Replace(string(raw), `"size":`+strconv.Itoa(len(blob)), `"size":`+strconv.Itoa(size), 1)
		req, err := http.NewRequest("PUT", "http://"+r.Addr+"/v2/app/manifests/"+name, strings.NewReader(lie))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status)
		}
		c, _ := newClient(t)
		mustFail(t, c, r.Addr+"/app:"+name, "", amd64, digest,
			"has "+strconv.Itoa(len(blob))+" bytes, and the manifest says "+strconv.Itoa(size))
	}
}
