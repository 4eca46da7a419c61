//go:build linux

// Package buildkit is BuildKit inside this process: its worker, wired to an executor of our own, its solver, and a
// client of it. All of BuildKit's internals that the guest touches are here; they change with every release.
//
// Two things are left out on purpose: a registry cannot be reached, and of the frontends only that for Dockerfiles is
// there.
package buildkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	ctdsnapshot "github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache/metadata"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/label"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

const (
	snapshotter = "overlayfs"
	namespace   = "buildkit"
)

// fleeting are options of a database that does not outlive the machine.
var fleeting = bolt.Options{FreelistType: bolt.FreelistMapType, NoFreelistSync: true, NoSync: true}

// newWorker makes the worker that keeps everything below root.
func newWorker(ctx context.Context, root, resolv string) (*base.Worker, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	exec, err := newExecutor(filepath.Join(root, "executor"), resolv)
	if err != nil {
		return nil, fmt.Errorf("executor: %w", err)
	}
	snapshots, err := overlay.NewSnapshotter(filepath.Join(root, "snapshots"), overlay.AsynchronousRemove)
	if err != nil {
		return nil, fmt.Errorf("overlay file systems: %w", err)
	}
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return nil, err
	}
	db, err := boltutil.Open(filepath.Join(root, "containerd.db"), 0o600, &fleeting)
	if err != nil {
		return nil, err
	}
	meta := ctdmetadata.NewDB(db, blobs, map[string]ctdsnapshot.Snapshotter{snapshotter: snapshots})
	if err := meta.Init(ctx); err != nil {
		return nil, err
	}
	content := containerdsnapshot.NewContentStore(meta.ContentStore(), namespace)
	store, err := metadata.NewStore(filepath.Join(root, "metadata.db"))
	if err != nil {
		return nil, err
	}
	return base.NewWorker(ctx, base.WorkerOpt{
		ID:              "fledge",
		Root:            root,
		Labels:          map[string]string{label.Executor: "fledge", label.Snapshotter: snapshotter},
		Platforms:       []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())},
		MetadataStore:   store,
		ContentMetadata: db,
		Executor:        exec,
		Snapshotter:     containerdsnapshot.NewSnapshotter(snapshotter, meta.Snapshotter(snapshotter), namespace, nil),
		ContentStore:    content,
		Applier:         apply.NewFileSystemApplier(content),
		Differ:          walking.NewWalkingDiff(content),
		LeaseManager:    leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(meta), namespace),
		GarbageCollect:  meta.GarbageCollect,
		MountPoolRoot:   filepath.Join(root, "cachemounts"),
	})
}
