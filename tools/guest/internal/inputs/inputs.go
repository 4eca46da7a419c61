package inputs

import (
	"archive/tar"
	"fmt"
	"io"
	"path"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/tonistiigi/fsutil"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// maxDockerfile is the largest Dockerfile, in bytes; BuildKit's own limit is smaller.
const maxDockerfile = 16 << 20

// Inputs is what a job needs, secrets apart.
type Inputs struct {
	Job        wire.Job
	Text       []byte // of the Dockerfile
	Context    fsutil.FS
	Dockerfile fsutil.FS                // folder of the Dockerfile
	Stores     map[string]content.Store // by the names of the job
	Cache      content.Store            // all blobs that the host has: the cache's and the base images'
}

// Open reads an input disk of size bytes.
func Open(r io.ReaderAt, size int64) (*Inputs, error) {
	ix, err := readIndex(r, size)
	if err != nil {
		return nil, err
	}
	text, err := ix.file(wire.JobFile, wire.MaxJob)
	if err != nil {
		return nil, err
	}
	job, err := wire.DecodeJob(text)
	if err != nil {
		return nil, fmt.Errorf("input disk: %w", err)
	}
	dockerfile, err := ix.file(path.Join(wire.DockerfileDir, job.Dockerfile), maxDockerfile)
	if err != nil {
		return nil, err
	}
	known := []string{wire.JobFile, wire.ContextDir, wire.DockerfileDir, wire.StoresDir, wire.CacheDir}
	for _, name := range ix.nodes["."].children {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("input disk: %q is no part of a job", name)
		}
	}
	at := time.Unix(job.Epoch, 0).UnixNano()
	in := &Inputs{
		Job: job, Text: dockerfile,
		Context:    &tree{ix, wire.ContextDir, at},
		Dockerfile: &tree{ix, wire.DockerfileDir, at},
		Stores:     map[string]content.Store{},
	}
	blobs := []string{wire.CacheDir}
	for _, im := range job.Images {
		root := path.Join(wire.StoresDir, im.Store)
		if n := ix.nodes[root]; n == nil || n.kind != tar.TypeDir {
			return nil, fmt.Errorf("input disk: there is no folder %s for base image %s", root, im.Ref)
		}
		in.Stores[im.Store] = &store{ix: ix, roots: []string{root}}
		blobs = append(blobs, root)
	}
	in.Cache = &store{ix: ix, roots: blobs}
	return in, nil
}
