package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

const (
	maxParallel = 3 // blobs at once
	maxIndexes  = 4 // an index may name an index; nobody nests them deeper
)

// registryPull is an image on its way from a registry.
type registryPull struct {
	*Client
	ref       Reference
	platform  string
	endpoints []*endpoint
	preferred atomic.Pointer[endpoint] // the one that answered last
}

func (c *Client) newRegistryPull(ref Reference, platform string) (*registryPull, error) {
	rules, err := readRules()
	if err != nil {
		return nil, fmt.Errorf("%s: mirrors: %w", ref, err)
	}
	found, err := places(ref.named, rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	p := &registryPull{Client: c, ref: ref, platform: platform}
	for _, place := range found {
		e, err := newEndpoint(place, c.transport())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		p.endpoints = append(p.endpoints, e)
	}
	return p, nil
}

// document is an index or a manifest.
type document struct {
	digest string
	raw    []byte
}

// resolve asks for what the tag has now.
func (p *registryPull) resolve(ctx context.Context) (document, error) {
	d, err := p.document(ctx, "")
	if err != nil {
		return d, err
	}
	if _, _, err := ocilayout.ParseDocument(d.raw, p.platform); err != nil {
		return document{}, p.unusable(d.digest, err)
	}
	return d, nil
}

func (p *registryPull) unusable(digest string, err error) error {
	return fmt.Errorf("%s: manifest %s: %w", p.ref, digest, err)
}

// document gets the manifest or index of a digest, or that of the tag when digest is "".
func (p *registryPull) document(ctx context.Context, digest string) (document, error) {
	if raw := p.kept(digest); raw != nil {
		return document{digest, raw}, nil
	}
	id := digest
	if digest == "" {
		id = p.ref.tag()
	}
	header := http.Header{"Accept": {strings.Join(ocilayout.DocumentTypes(), ",")}}
	var raw []byte
	err := p.try(ctx, request{what: "manifest", id: id, byTag: digest == ""}, func(e *endpoint) error {
		ctx, _, stop := patience(ctx, p.stall())
		defer stop()
		resp, err := e.get(ctx, "/manifests/"+id, header)
		if err != nil {
			return plainError(ctx, err)
		}
		defer resp.Body.Close()
		raw, err = io.ReadAll(io.LimitReader(resp.Body, ocilayout.MaxJSON+1))
		switch {
		case err != nil:
			return plainError(ctx, err)
		case len(raw) > ocilayout.MaxJSON:
			return refusal{fmt.Errorf("has more than %d bytes", ocilayout.MaxJSON)}
		case digest != "" && digestOf(raw) != digest:
			return refusal{fmt.Errorf("%w: it has the digest %s", errAltered, digestOf(raw))}
		}
		return nil
	})
	if err != nil {
		return document{}, err
	}
	got, _, err := p.keep(raw)
	return document{got, raw}, err
}

var errAltered = errors.New("the registry, or a proxy before it, has altered or cut it")

// pullRegistry gets an image of a registry into the cache.
func (c *Client) pullRegistry(ctx context.Context, ref Reference, digest, platform string) (*Image, error) {
	if own := ref.digest(); own != "" && digest != "" && own != digest {
		return nil, fmt.Errorf("%s was pinned to %s; fledge update pins it anew", ref, digest)
	} else if own != "" {
		digest = own
	}
	p, err := c.newRegistryPull(ref, platform)
	if err != nil {
		return nil, err
	}
	top, err := p.document(ctx, digest)
	if err != nil {
		return nil, err
	}
	m, manifest, err := p.manifest(ctx, top)
	if err != nil {
		return nil, err
	}
	if err := p.download(ctx, m); err != nil {
		return nil, err
	}
	if manifest.digest != top.digest {
		platform = "" // the index has said for which it is
	}
	source, err := ocilayout.OpenBlobs(c.Cache, ocilayout.Blob{
		MediaType: m.MediaType, Digest: manifest.digest, Size: int64(len(manifest.raw)),
	}, platform)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return p.image(ctx, top.digest, source, m), nil
}

// manifest goes from an index to the manifest for the platform.
func (p *registryPull) manifest(ctx context.Context, d document) (*ocilayout.Manifest, document, error) {
	for range maxIndexes {
		m, next, err := ocilayout.ParseDocument(d.raw, p.platform)
		if err != nil {
			return nil, d, p.unusable(d.digest, err)
		}
		if m != nil {
			return m, d, nil
		}
		if d, err = p.document(ctx, next.Digest); err != nil {
			return nil, d, err
		}
		if int64(len(d.raw)) != next.Size {
			return nil, d, p.unusable(d.digest, fmt.Errorf("it has %d bytes, and the index says %d", len(d.raw), next.Size))
		}
	}
	return nil, d, p.unusable(d.digest, fmt.Errorf("indexes are nested %d deep", maxIndexes))
}

// download gets an image's blobs into the cache, several at once.
func (p *registryPull) download(ctx context.Context, m *ocilayout.Manifest) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxParallel)
	g.Go(func() error { return p.blob(ctx, "config", m.Config) })
	started := map[string]bool{m.Config.Digest: true} // a layer may occur twice
	for _, b := range m.Layers {
		if !started[b.Digest] {
			started[b.Digest] = true
			g.Go(func() error { return p.blob(ctx, "layer", b) })
		}
	}
	return g.Wait()
}

func (p *registryPull) image(ctx context.Context, digest string, source *ocilayout.Image, m *ocilayout.Manifest) *Image {
	im := &Image{Digest: digest, source: source, ConfigFile: p.blobFile(m.Config.Digest)}
	im.RawConfig, im.Config = source.Config()
	for i, l := range source.Layers() {
		file := p.blobFile(l.Digest)
		im.Layers = append(im.Layers, Layer{
			Digest: l.Digest, DiffID: l.DiffID, MediaType: l.MediaType, Size: l.Size, File: file, layer: l,
			repair: func() error { return p.replace(ctx, m.Layers[i]) },
		})
	}
	return im
}

// request is what an endpoint is asked for, for messages.
type request struct {
	what  string // manifest, config or layer
	id    string // digest or tag
	byTag bool
}

// try asks the endpoints in turn, and again after pauses, until one gives what is asked for. An error that says
// progressed begins the pauses anew.
func (p *registryPull) try(ctx context.Context, r request, ask func(*endpoint) error) error {
	left := p.order(r.byTag)
	failed := &fetchError{pull: p, request: r, errs: map[*endpoint]error{}}
	pauses := p.pauses()
	for attempt := 0; ; attempt++ {
		for _, e := range slices.Clone(left) {
			err := ask(e)
			if err == nil {
				p.preferred.Store(e)
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed.errs[e] = err
			if e.final(err) {
				left = slices.DeleteFunc(left, func(o *endpoint) bool { return o == e })
			}
			if errors.Is(err, errProgress) {
				attempt = 0
			}
		}
		if len(left) == 0 || attempt >= len(pauses) {
			return failed
		}
		e := left[len(left)-1]
		p.note("%s: %s %s: %v; trying again in %s", e.host, r.what, r.id, failed.errs[e], pauses[attempt])
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pauses[attempt]):
		}
	}
}

// order gives the endpoints that may be asked, the one that answered last before the others.
func (p *registryPull) order(byTag bool) []*endpoint {
	var first, rest []*endpoint
	for _, e := range p.endpoints {
		switch {
		case byTag && !e.byTag, !byTag && !e.byDigest:
		case e == p.preferred.Load():
			first = append(first, e)
		default:
			rest = append(rest, e)
		}
	}
	return append(first, rest...)
}

func (c *Client) stall() time.Duration {
	if c.Stall > 0 {
		return c.Stall
	}
	return DefaultStall
}

func (c *Client) pauses() []time.Duration {
	if c.Pauses != nil {
		return c.Pauses
	}
	return DefaultPauses
}
