// Package partial finds out which steps of a failed solve have a result, so that a cache can be made of these: BuildKit
// itself exports one with an image only.
package partial

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Recorder keeps the steps that a frontend asks BuildKit for. The zero value is ready.
type Recorder struct {
	mu    sync.Mutex
	order []string // digests
	steps map[string]step
	done  map[string]bool // those that have a result
}

type step struct {
	op       *pb.Op
	metadata *pb.OpMetadata
}

// Frontend is f with its steps recorded. A nil Recorder records nothing.
func (r *Recorder) Frontend(f gateway.BuildFunc) gateway.BuildFunc {
	if r == nil {
		return f
	}
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) { return f(ctx, recording{c, r}) }
}

type recording struct {
	gateway.Client
	r *Recorder
}

func (c recording) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Definition != nil {
		if err := c.r.add(req.Definition); err != nil {
			return nil, err
		}
	}
	return c.Client.Solve(ctx, req)
}

func (r *Recorder) add(d *pb.Definition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.steps == nil {
		r.steps, r.done = map[string]step{}, map[string]bool{}
	}
	for _, raw := range d.Def {
		id := digest.FromBytes(raw).String()
		s := step{op: &pb.Op{}, metadata: d.Metadata[id]}
		if err := s.op.Unmarshal(raw); err != nil {
			return fmt.Errorf("step %s: %w", id, err)
		}
		if _, ok := r.steps[id]; !ok && s.op.Op != nil { // the last one only points at the result
			r.steps[id] = s
			r.order = append(r.order, id)
		}
	}
	return nil
}

// Done notes that a step has a result.
func (r *Recorder) Done(step digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.steps[step.String()]; ok {
		r.done[step.String()] = true
	}
}

// whole has the steps that are done, and all that they need, too.
func (r *Recorder) whole() map[string]bool {
	whole := map[string]bool{}
	for _, id := range r.order { // inputs come first
		ok := r.done[id]
		for _, in := range r.steps[id].op.Inputs {
			ok = ok && whole[in.Digest]
		}
		whole[id] = ok
	}
	return whole
}

// Ends are the results that a step which is not done would have begun with, without plain sources.
func (r *Recorder) Ends() (list []*pb.Input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	whole, seen := r.whole(), map[string]bool{}
	for _, id := range r.order {
		if whole[id] {
			continue
		}
		for _, in := range r.steps[id].op.Inputs {
			key := fmt.Sprint(in.Digest, in.Index)
			if whole[in.Digest] && r.steps[in.Digest].op.GetSource() == nil && !seen[key] {
				seen[key] = true
				list = append(list, in)
			}
		}
	}
	return list
}

// definition has all that is done, as steps of another session: that they are of the same would be enough for BuildKit to
// find their results, and it would export none whose key, the content of a build context, it did not look at. renamed
// gives the new digests.
func (r *Recorder) definition(session string) (d *pb.Definition, renamed map[string]string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, renamed = &pb.Definition{Metadata: map[string]*pb.OpMetadata{}}, map[string]string{}
	whole := r.whole()
	for _, id := range r.order {
		if !whole[id] {
			continue
		}
		op := r.steps[id].op.CloneVT()
		for _, in := range op.Inputs {
			in.Digest = renamed[in.Digest]
		}
		for _, name := range []string{pb.AttrLocalSessionID, pb.AttrOCILayoutSessionID} {
			if source := op.GetSource(); source != nil && source.Attrs[name] != "" {
				source.Attrs[name] = session
			}
		}
		raw, err := op.Marshal()
		if err != nil {
			return nil, nil, err
		}
		renamed[id] = digest.FromBytes(raw).String()
		d.Def, d.Metadata[renamed[id]] = append(d.Def, raw), r.steps[id].metadata
	}
	return d, renamed, nil
}

// Build asks for all ends. Each is a platform of the result, which is BuildKit's way to have several.
func (r *Recorder) Build(imports []gateway.CacheOptionsEntry) gateway.BuildFunc {
	return func(ctx context.Context, c gateway.Client) (*gateway.Result, error) {
		d, renamed, err := r.definition(c.BuildOpts().SessionID)
		if err != nil {
			return nil, err
		}
		all, names := gateway.NewResult(), exptypes.Platforms{}
		for i, end := range r.Ends() {
			last, err := (&pb.Op{Inputs: []*pb.Input{{Digest: renamed[end.Digest], Index: end.Index}}}).Marshal()
			if err != nil {
				return nil, err
			}
			one := &pb.Definition{Def: append(slices.Clip(d.Def), last), Metadata: d.Metadata}
			res, err := c.Solve(ctx, gateway.SolveRequest{Definition: one, CacheImports: imports})
			if err != nil {
				return nil, err
			}
			ref, err := res.SingleRef()
			if err != nil {
				return nil, err
			}
			p := exptypes.Platform{ID: strconv.Itoa(i), Platform: ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}}
			all.AddRef(p.ID, ref)
			names.Platforms = append(names.Platforms, p)
		}
		text, err := json.Marshal(names)
		all.AddMeta(exptypes.ExporterPlatformsKey, text)
		return all, err
	}
}
