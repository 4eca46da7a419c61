//go:build linux

package buildkit

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Cache is what BuildKit reads its cache from and saves it to.
type Cache interface {
	content.Provider
	content.InfoProvider
	content.Ingester
}

// cacheType is the kind of cache that Cache is, among those that a client may ask for.
const cacheType = "fledge"

// CacheExport asks for the cache of all stages. That it cannot be saved is no fault of the solve.
func CacheExport(compression string) client.CacheOptionsEntry {
	return client.CacheOptionsEntry{
		Type: cacheType, Attrs: map[string]string{"mode": "max", "ignore-error": "true", "compression": compression},
	}
}

// CacheImport asks to use the cache with this manifest.
func CacheImport(manifest string) client.CacheOptionsEntry {
	return client.CacheOptionsEntry{Type: cacheType, Attrs: map[string]string{"digest": manifest}}
}

func cacheExporters(c Cache) map[string]remotecache.ResolveCacheExporterFunc {
	if c == nil {
		return nil
	}
	return map[string]remotecache.ResolveCacheExporterFunc{
		cacheType: func(_ context.Context, _ session.Group, attrs map[string]string) (remotecache.Exporter, error) {
			config, err := compression.ParseAttributes(attrs)
			if err != nil {
				return nil, err
			}
			return remotecache.NewExporter(c, "", true, true, config), nil
		},
	}
}

func cacheImporters(c Cache) map[string]remotecache.ResolveCacheImporterFunc {
	if c == nil {
		return nil
	}
	resolve := func(
		ctx context.Context, _ session.Group, attrs map[string]string,
	) (remotecache.Importer, ocispecs.Descriptor, error) {
		d := digest.Digest(attrs["digest"])
		info, err := c.Info(ctx, d)
		if err != nil {
			return nil, ocispecs.Descriptor{}, fmt.Errorf("manifest of the cache: %w", err)
		}
		return remotecache.NewImporter(c), ocispecs.Descriptor{Digest: d, Size: info.Size}, nil
	}
	return map[string]remotecache.ResolveCacheImporterFunc{cacheType: resolve}
}
