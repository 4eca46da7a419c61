//go:build linux

package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/moby/buildkit/worker"
	"github.com/sirupsen/logrus"
	_ "golang.org/x/crypto/x509roots/fallback" // for ADD https://: the build machine has no certificates
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fledge-build/fledge/tools/guest/internal/partial"
)

// Frontend is the name of the one frontend.
const Frontend = "dockerfile.v0"

// Options is what an embedded BuildKit needs.
type Options struct {
	Root   string            // an empty folder on a file system that overlay file systems can lie on
	Resolv string            // content of /etc/resolv.conf in steps that may use the network
	Cache  Cache             // of former solves; may be nil
	Steps  *partial.Recorder // gets what the frontend asks for
}

// Server is an embedded BuildKit.
type Server struct {
	Client  *client.Client
	control *control.Controller
	grpc    *grpc.Server
	remarks *remarks
}

// remarks keeps what BuildKit only logs, though the image is not what was asked for then.
type remarks struct {
	mu   sync.Mutex
	list []string
}

// Levels implements logrus.Hook.
func (r *remarks) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

// Fire implements logrus.Hook.
func (r *remarks) Fire(e *logrus.Entry) error {
	text := fmt.Sprint(map[string]any(e.Data)) // some have one error, some a list of texts
	switch {
	case strings.HasPrefix(e.Message, "failed to rewrite layer"):
		r.add(fmt.Sprintf("%s: %v", e.Message, e.Data[logrus.ErrorKey]))
	case strings.HasPrefix(e.Message, "ignored xattr") && strings.Contains(text, unix.ENOTSUP.Error()):
		r.add(e.Message + ": the file system that BuildKit works on has no such attributes; " +
			"that of the build machine, a tmpfs, has them from Linux 6.6 on")
	}
	return nil
}

func (r *remarks) add(remark string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.list, remark) {
		r.list = append(r.list, remark)
	}
}

// Err is the error of a solve that BuildKit took for done: layers whose times it could not set, attributes it lost.
func (s *Server) Err() error {
	s.remarks.mu.Lock()
	defer s.remarks.mu.Unlock()
	if len(s.remarks.list) == 0 {
		return nil
	}
	return errors.New(strings.Join(s.remarks.list, "\n"))
}

// Start starts BuildKit. It is reached through Client alone: no socket is opened.
func Start(ctx context.Context, o Options) (*Server, error) {
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	w, err := newWorker(ctx, filepath.Join(o.Root, "worker"), o.Resolv)
	if err != nil {
		return nil, fmt.Errorf("BuildKit's worker: %w", err)
	}
	workers := &worker.Controller{}
	if err := workers.Add(w); err != nil {
		return nil, err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(o.Root, "cache.db"))
	if err != nil {
		return nil, err
	}
	history, err := boltutil.Open(filepath.Join(o.Root, "history.db"), 0o600, &fleeting)
	if err != nil {
		return nil, err
	}
	c, err := control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			Frontend: forwarder.NewGatewayForwarder(workers.Infos(), o.Steps.Frontend(dockerfile.Build)),
		},
		CacheManager: solver.NewCacheManager(ctx, "local", cache, worker.NewCacheResultStorage(workers)),
		Entitlements: []string{"network.host"},

		ResolveCacheExporterFuncs: cacheExporters(o.Cache),
		ResolveCacheImporterFuncs: cacheImporters(o.Cache),

		CacheStore:     cache,
		HistoryDB:      history,
		LeaseManager:   w.LeaseManager(),
		ContentStore:   w.ContentStore(),
		GarbageCollect: w.GarbageCollect,
		GracefulStop:   ctx.Done(),
	})
	if err != nil {
		return nil, fmt.Errorf("BuildKit's controller: %w", err)
	}
	// Without these interceptors exit codes and places in the Dockerfile are lost on the way to the client.
	s := grpc.NewServer(grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor))
	c.Register(s)
	pipe := bufconn.Listen(4 << 20)
	go s.Serve(pipe)
	cl, err := client.New(ctx, "passthrough:///fledge",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		return nil, err
	}
	srv := &Server{Client: cl, control: c, grpc: s, remarks: &remarks{}}
	logrus.AddHook(srv.remarks)
	return srv, nil
}

// Close stops BuildKit.
func (s *Server) Close() {
	s.Client.Close()
	s.grpc.Stop()
	s.control.Close()
}
