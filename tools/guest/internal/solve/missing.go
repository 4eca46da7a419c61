package solve

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// missingImages adds to the images that a solve found missing, where it ends at the first, all others that the target
// needs and the job does not have, and sorts them. BuildKit's own frontend says which those are, by looking for them.
// What only an ONBUILD of another image names is not among them.
func missingImages(ctx context.Context, job wire.Job, text []byte, found []string) []string {
	args := maps.Clone(job.BuildArgs)
	if args == nil {
		args = map[string]string{}
	}
	args[epochArg] = strconv.FormatInt(job.Epoch, 10)
	var named recorder
	caps := pb.Caps.CapSet(pb.Caps.All())
	// The error is the recorder's own, or one of those that BuildKit found before.
	_, _ = dockerfile2llb.Dockerfile2LLB(ctx, text, dockerfile2llb.ConvertOpt{
		Config:         dockerui.Config{BuildArgs: args, Target: job.Target},
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: job.Arch},
		MetaResolver:   &named,
		LLBCaps:        &caps,
	})
	known := map[string]bool{}
	for _, im := range job.Images {
		if name, err := contextName(im.Ref); err == nil {
			known[name] = true
		}
	}
	for _, ref := range named.refs {
		if name, err := contextName(ref); err == nil && !known[name] {
			found = append(found, ref)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// recorder notes the images that the frontend looks for, all those of a Dockerfile at once, and has none.
type recorder struct {
	mu   sync.Mutex
	refs []string
}

// ResolveImageConfig implements sourceresolver.ImageMetaResolver.
func (r *recorder) ResolveImageConfig(
	_ context.Context, ref string, _ sourceresolver.Opt,
) (string, digest.Digest, []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refs = append(r.refs, ref)
	return "", "", nil, errors.New("only its name is wanted")
}
