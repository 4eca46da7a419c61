//go:build linux

package buildkit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	containerdoci "github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fledge-build/fledge/tools/guest/internal/seccomp"
	"github.com/fledge-build/fledge/tools/guest/internal/step"
)

// stepExecutor runs the steps of a build: it does what BuildKit's executor for runc does, and runs the specification
// that BuildKit makes by itself.
type stepExecutor struct {
	root    string // folder for what a step needs besides its mounts
	resolv  string // content of /etc/resolv.conf in steps that may use the network
	cgroups *cgroups
}

func newExecutor(root, resolv string) (*stepExecutor, error) {
	if err := os.MkdirAll(root, 0o711); err != nil {
		return nil, err
	}
	return &stepExecutor{root: root, resolv: resolv, cgroups: openCgroups()}, nil
}

// Exec implements executor.Executor. Only containers of a gateway client ask for it, and none can reach this BuildKit.
func (e *stepExecutor) Exec(context.Context, string, executor.ProcessInfo) error {
	return errors.New("a second command in the container of a step is not supported")
}

// Run implements executor.Executor.
func (e *stepExecutor) Run(
	ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo,
	started chan<- struct{},
) (_ resourcestypes.Recorder, err error) {
	if started != nil {
		// Who waits for it wants a second command in the container, which there is none of.
		defer close(started)
	}
	if err := check(process.Meta); err != nil {
		return nil, err
	}
	if id == "" {
		id = identity.NewID()
	}
	if err := executor.ValidContainerID(id); err != nil {
		return nil, err
	}
	bundle := filepath.Join(e.root, id)
	if err := os.Mkdir(bundle, 0o711); err != nil {
		return nil, err
	}
	defer os.RemoveAll(bundle)
	rootfs, release, err := mountRoot(ctx, root, filepath.Join(bundle, "rootfs"))
	if err != nil {
		return nil, err
	}
	defer release()
	defer executor.MountStubsCleaner(context.WithoutCancel(ctx), rootfs, mounts, process.Meta.RemoveMountStubsRecursive)()
	spec, cleanup, err := e.specification(ctx, id, bundle, rootfs, mounts, process.Meta)
	if err != nil {
		return nil, err
	}
	defer cleanup()
	if root.Readonly {
		spec.Root.Readonly = true
	}
	group, err := e.cgroups.create(id, spec.Linux.Resources)
	if err != nil {
		return nil, err
	}
	defer group.remove()
	return nil, e.execute(ctx, spec, group, process)
}

func check(m executor.Meta) error {
	switch {
	case len(m.CDIDevices) > 0:
		return errors.New("RUN --device is not supported: the build machine has no devices")
	case m.SecurityMode != pb.SecurityMode_SANDBOX:
		return errors.New("RUN --security=insecure is not supported")
	case m.Tty:
		return errors.New("a terminal for a step is not supported")
	}
	return nil
}

// mountRoot mounts the step's root file system.
func mountRoot(ctx context.Context, root executor.Mount, at string) (string, func(), error) {
	src, err := root.Src.Mount(ctx, false)
	if err != nil {
		return "", nil, err
	}
	mounts, release, err := src.Mount()
	if err != nil {
		return "", nil, err
	}
	if err = os.Mkdir(at, 0o700); err == nil {
		err = mount.All(mounts, at)
	}
	if err != nil {
		release()
		return "", nil, fmt.Errorf("root of the step: %w", err)
	}
	return at, func() {
		mount.UnmountAll(at, syscall.MNT_DETACH)
		release()
	}, nil
}

// specification makes what the step's container is to be, and creates its working directory.
func (e *stepExecutor) specification(
	ctx context.Context, id, bundle, rootfs string, mounts []executor.Mount, meta executor.Meta,
) (*specs.Spec, func(), error) {
	provider, resolv := network.NewNoneProvider(), ""
	if meta.NetMode != pb.NetMode_NONE {
		provider, resolv = network.NewHostProvider(), e.resolv
	}
	space, err := provider.New(ctx, meta.Hostname, network.NamespaceOptions{})
	if err != nil {
		return nil, nil, err
	}
	uid, gid, groups, err := oci.GetUser(rootfs, meta.User)
	if err != nil {
		return nil, nil, err
	}
	state, err := os.OpenRoot(bundle)
	if err != nil {
		return nil, nil, err
	}
	defer state.Close()
	hosts, _, err := oci.GetHostsFile(ctx, state, meta.ExtraHosts, nil, meta.Hostname)
	if err != nil {
		return nil, nil, err
	}
	if err := state.WriteFile("resolv.conf", []byte(resolv), 0o644); err != nil {
		return nil, nil, err
	}
	opts := []containerdoci.SpecOpts{oci.WithUIDGID(uid, gid, groups)}
	if meta.ReadonlyRootFS {
		opts = append(opts, containerdoci.WithRootFSReadonly())
	}
	spec, cleanup, err := oci.GenerateSpec(ctx, meta, mounts, id, filepath.Join(bundle, "resolv.conf"),
		filepath.Join(bundle, hosts), space, "", oci.ProcessSandbox, nil, "", false, "", nil, opts...)
	if err != nil {
		return nil, nil, err
	}
	spec.Root.Path = rootfs
	spec.Process.Env = withHome(spec.Process.Env, rootfs, uid)
	if err := makeCwd(rootfs, spec.Process.Cwd, int(uid), int(gid)); err != nil {
		cleanup()
		return nil, nil, err
	}
	return spec, cleanup, nil
}

// withHome adds HOME as runc does: what the image's /etc/passwd says of the user.
func withHome(env []string, rootfs string, uid uint32) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "HOME=") }) {
		return env
	}
	home := "/"
	if p, err := fs.RootPath(rootfs, "/etc/passwd"); err == nil {
		users, err := user.ParsePasswdFileFilter(p, func(u user.User) bool { return u.Uid == int(uid) })
		if err == nil && len(users) > 0 && users[0].Home != "" {
			home = users[0].Home
		}
	}
	return append(env, "HOME="+home)
}

func makeCwd(rootfs, cwd string, uid, gid int) error {
	p, err := fs.RootPath(rootfs, cwd)
	if err != nil {
		return fmt.Errorf("working directory %s: %w", cwd, err)
	}
	if _, err := os.Stat(p); err == nil {
		return nil
	}
	if err := user.MkdirAllAndChown(p, 0o755, uid, gid); err != nil {
		return fmt.Errorf("working directory %s: %w", cwd, err)
	}
	return nil
}

// execute runs the command to its end, or until ctx is.
func (e *stepExecutor) execute(
	ctx context.Context, spec *specs.Spec, group *cgroup, process executor.ProcessInfo,
) error {
	cmd := step.Command{Spec: spec, Cgroup: group.dir(), Stdout: process.Stdout, Stderr: process.Stderr}
	if profile := spec.Linux.Seccomp; profile != nil {
		prog, err := seccomp.Compile(profile)
		if err != nil {
			return err
		}
		for _, i := range prog {
			cmd.Seccomp = binary.NativeEndian.AppendUint16(cmd.Seccomp, i.Op)
			cmd.Seccomp = binary.NativeEndian.AppendUint32(append(cmd.Seccomp, i.Jt, i.Jf), i.K)
		}
		spec.Linux.Seccomp = nil
	}
	if process.Stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer process.Stdin.Close()
		go func() {
			io.Copy(w, process.Stdin)
			w.Close()
		}()
		cmd.Stdin = r
	}
	p, err := step.Start(cmd)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go attend(ctx, p, process.Signal, done)
	code, err := p.Wait()
	close(done)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case accepted(code, process.Meta.ValidExitCodes):
		return nil
	}
	exit := &gatewayapi.ExitError{ExitCode: uint32(code)}
	if group.oomKills() > 0 {
		exit.Err = syscall.ENOMEM // as BuildKit says it
	}
	return exit
}

// attend passes signals on, and ends the command when ctx ends.
func attend(ctx context.Context, p *step.Process, signals <-chan syscall.Signal, done <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			p.Kill()
			return
		case s, ok := <-signals:
			if !ok {
				signals = nil // no more will come, and this case would be ready for ever
				continue
			}
			p.Signal(s)
		case <-done:
			return
		}
	}
}

func accepted(code int, valid []int) bool {
	if valid == nil {
		return code == 0
	}
	return slices.Contains(valid, code)
}
