// Package pull gets container images: from registries, from a local docker or podman daemon, from OCI layouts and from
// archives. It needs no root and no daemon, keeps what it fetched in a folder by digest, and believes nothing before
// its digest was checked.
//
// It reads the environment as the tools do whose files it reads: DOCKER_CONFIG, REGISTRY_AUTH_FILE and XDG_RUNTIME_DIR
// for credentials, CONTAINERS_REGISTRIES_CONF for mirrors, DOCKER_HOST for the daemon, HOME, and the proxies'.
package pull

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

// Client gets images. Its methods may be called by several goroutines.
type Client struct {
	Cache string // folder for what is fetched: blobs/sha256/HEX, images/sha256/HEX.tar, and partial/HEX for the rest

	Progress func(Progress)       // told how far blobs are, one call at a time; may be nil
	Note     func(message string) // told what goes wrong for now; may be nil

	Transport http.RoundTripper // what sends requests to registries; nil: http.Transport with the environment's proxies
	Pauses    []time.Duration   // before each further attempt; nil: DefaultPauses
	Stall     time.Duration     // how long a registry may send nothing; 0: DefaultStall

	told sync.Mutex // held in calls to Progress and Note
	once sync.Once  // for base
	base http.RoundTripper
}

// Attempts and patience of a Client with good manners.
var (
	DefaultPauses = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	DefaultStall  = 30 * time.Second
)

// Progress is how far a blob is.
type Progress struct {
	Reference   string // of the image
	Digest      string // of the blob; of the image for one of a daemon
	Done, Total int64  // bytes; Total -1: unknown
	Cached      bool   // it was there already
	Resumed     bool   // a part of it was there already
}

// Image is an image whose parts are all on this machine.
type Image struct {
	Digest     string // what Resolve gives
	RawConfig  []byte
	Config     *ocilayout.Config
	ConfigFile string  // RawConfig in the cache
	Layers     []Layer // base layer first; there is at least one
	Layout     string  // the layout or archive that the layers are in, "" when they are in the cache

	source *ocilayout.Image
}

// Close releases the archive. Layers cannot be opened any more.
func (im *Image) Close() error { return im.source.Close() }

// Layer is a layer of an image.
type Layer struct {
	Digest    string // as stored; see ocilayout.Layer for archives of docker save
	DiffID    string // of the uncompressed tar
	MediaType string
	Size      int64  // bytes as stored
	File      string // the blob in the cache, "" in a layout or archive

	layer  ocilayout.Layer
	repair func() error // fetches File anew
}

// Open gives the layer as it is stored. Reading fails at the end when the bytes are not those of the digest. A file of
// the cache that was damaged is fetched once more first.
func (l Layer) Open() (io.ReadCloser, error) {
	if l.File != "" && verifyFile(l.File, l.Digest, l.Size) != nil {
		if err := l.repair(); err != nil {
			return nil, err
		}
	}
	return l.layer.Open()
}

// Resolve gives the digest of what a reference names now: of the manifest or index that a tag has in the registry, the
// image's ID in a daemon, the digest of the manifest or index that a layout or archive has (of the config where docker save
// has written it). Platform is OS/ARCHITECTURE[/VARIANT], for example linux/amd64.
func (c *Client) Resolve(ctx context.Context, ref Reference, platform string) (string, error) {
	if err := c.prepare(); err != nil {
		return "", err
	}
	switch ref.Transport {
	case Registry:
		if d := ref.digest(); d != "" {
			return d, nil
		}
		p, err := c.newRegistryPull(ref, platform)
		if err != nil {
			return "", err
		}
		top, err := p.resolve(ctx)
		return top.digest, err
	case Daemon:
		if d := ref.digest(); d != "" && ref.named == nil {
			return d, nil
		}
		found, err := c.inspect(ctx, ref)
		if err != nil {
			return "", err
		}
		found.http.CloseIdleConnections()
		return found.id, nil
	}
	im, err := openLayout(ref, platform)
	if err != nil {
		return "", err
	}
	defer im.Close()
	return im.Root(), nil
}

// Pull gets an image. Digest is what Resolve gave, and then the image must be that; "" takes what the reference names
// now. What is in the cache is not asked for again.
func (c *Client) Pull(ctx context.Context, ref Reference, digest, platform string) (*Image, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	switch ref.Transport {
	case Registry:
		return c.pullRegistry(ctx, ref, digest, platform)
	case Daemon:
		return c.pullDaemon(ctx, ref, digest, platform)
	}
	im, err := openLayout(ref, platform)
	if err != nil {
		return nil, err
	}
	if digest != "" && !im.Is(digest) {
		im.Close()
		return nil, fmt.Errorf("%s is %s, and not %s that it was pinned to; fledge update pins it anew",
			ref, im.Digest(), digest)
	}
	return c.fromLayout(im, im.Digest(), ref.Path)
}

// prepare makes the cache's folders.
func (c *Client) prepare() error {
	for _, dir := range []string{c.blobs(), c.partials(), c.images()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func openLayout(ref Reference, platform string) (*ocilayout.Image, error) {
	im, err := ocilayout.OpenTagged(ref.Path, ref.Tag, platform)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return im, nil
}

// fromLayout makes an image of one whose layers are read where they lie.
func (c *Client) fromLayout(im *ocilayout.Image, digest, path string) (*Image, error) {
	out := &Image{Digest: digest, Layout: path, source: im}
	out.RawConfig, out.Config = im.Config()
	for _, l := range im.Layers() {
		out.Layers = append(out.Layers, Layer{
			Digest: l.Digest, DiffID: l.DiffID, MediaType: l.MediaType, Size: l.Size, layer: l,
		})
	}
	var err error
	if _, out.ConfigFile, err = c.keep(out.RawConfig); err != nil {
		im.Close()
		return nil, err
	}
	return out, nil
}

// transport is what sends requests to registries.
func (c *Client) transport() http.RoundTripper {
	c.once.Do(func() {
		if c.base = c.Transport; c.base == nil {
			c.base = http.DefaultTransport.(*http.Transport).Clone()
		}
	})
	return c.base
}

func (c *Client) note(format string, args ...any) {
	if c.Note != nil {
		c.told.Lock()
		defer c.told.Unlock()
		c.Note(fmt.Sprintf(format, args...))
	}
}

func (c *Client) progress(p Progress) {
	if c.Progress != nil {
		c.told.Lock()
		defer c.told.Unlock()
		c.Progress(p)
	}
}
