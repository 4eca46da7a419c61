//go:build linux

package solve_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/buildkit"
	"github.com/fledge-build/fledge/tools/guest/internal/cache"
	"github.com/fledge-build/fledge/tools/guest/internal/inputs"
	"github.com/fledge-build/fledge/tools/guest/internal/partial"
	"github.com/fledge-build/fledge/tools/guest/internal/solve"
)

// blobs are what the host has of the cache.
type blobs map[digest.Digest][]byte

func (b blobs) Info(_ context.Context, d digest.Digest) (content.Info, error) {
	if _, ok := b[d]; !ok {
		return content.Info{}, errdefs.ErrNotFound
	}
	return content.Info{Digest: d, Size: int64(len(b[d]))}, nil
}

func (b blobs) ReaderAt(_ context.Context, d ocispecs.Descriptor) (content.ReaderAt, error) {
	if _, ok := b[d.Digest]; !ok {
		return nil, errdefs.ErrNotFound
	}
	return blob{bytes.NewReader(b[d.Digest])}, nil
}

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }

// add takes the blobs of an archive.
func (b blobs) add(t *testing.T, archive io.Reader) {
	t.Helper()
	for r := tar.NewReader(archive); ; {
		_, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		b[digest.FromBytes(text)] = text
	}
}

// TestSaveCache has solves that fail, each by a BuildKit that knows only what is in the cache of the one before.
func TestSaveCache(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("BuildKit mounts, which needs root")
	}
	const dockerfile = `FROM base:1 AS other
RUN echo other >/other

FROM base:1
RUN echo first >/first
COPY name /name
RUN ln /name /linked
RUN --mount=type=bind,from=other,target=/mnt cat /mnt/other && grep good /name
COPY --from=other /other /
`
	host, manifests := blobs{}, []string(nil)
	for _, c := range []struct {
		name string
		want []string // steps that are cached
	}{
		{"bad", nil},
		{"bad", []string{"COPY name /name", "RUN echo first >/first", "RUN echo other >/other", "RUN ln /name /linked"}},
		{"worse", []string{"RUN echo first >/first", "RUN echo other >/other"}},
		{"worse", []string{"COPY name /name", "RUN echo first >/first", "RUN echo other >/other", "RUN ln /name /linked"}},
	} {
		cached, manifest := failing(t, dockerfile, c.name, host, manifests)
		if diff := cmp.Diff(c.want, cached); diff != "" {
			t.Errorf("%s: steps from the cache (-want +got):\n%s", c.name, diff)
		}
		manifests = []string{manifest}
	}
}

// failing solves a Dockerfile, which must fail, and saves the cache to host. It gives the steps that were in the cache
// before.
func failing(t *testing.T, dockerfile, name string, host blobs, manifests []string) (cached []string, manifest string) {
	t.Helper()
	var archive bytes.Buffer
	store, steps := cache.New(host, func() (io.Writer, error) { return &archive, nil }), &partial.Recorder{}
	s, err := startWith(buildkit.Options{Cache: store, Steps: steps})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	disk := solvetest.Disk(t, solvetest.Busybox(t), solvetest.Case{
		Dockerfile: dockerfile, Context: map[string]string{"name": name},
		Edit: func(j *wire.Job) { j.Cache = &wire.Cache{Manifests: manifests} },
	})
	in, err := inputs.Open(bytes.NewReader(disk), int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	names, found := map[int]string{}, map[string]bool{}
	task := solve.Task{Inputs: in, Output: io.Discard, Cache: true, Steps: steps, Events: func(e wire.Event) {
		switch _, step, _ := strings.Cut(e.Text, "] "); {
		case e.Kind == wire.EventStart:
			names[e.Step] = step
		case e.Kind == wire.EventDone && e.Cached:
			found[names[e.Step]] = true
		}
	}}
	if _, f := solve.Run(context.Background(), s.Client, task); f == nil || f.Kind != wire.FailRun {
		t.Fatalf("failure %v", f)
	}
	if err := solve.SaveCache(context.Background(), s.Client, task); err != nil {
		t.Fatal(err)
	}
	saved, err := store.Finish()
	if err != nil || saved == "" {
		t.Fatalf("manifest %q, %v", saved, err)
	}
	host.add(t, &archive)
	return slices.Sorted(maps.Keys(found)), saved.String()
}
