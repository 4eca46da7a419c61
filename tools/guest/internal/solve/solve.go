package solve

import (
	"context"

	"github.com/moby/buildkit/client"
	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// digestKey is where BuildKit's answer has the digest of the manifest.
const digestKey = "containerimage.digest"

// Run solves a task with a BuildKit. It returns the digest of the image's manifest, or why there is none.
func Run(ctx context.Context, c *client.Client, t Task) (string, *wire.Failure) {
	if f := check(t.Inputs.Job, t.Inputs.Text); f != nil {
		return "", f
	}
	o, err := t.options()
	if err != nil {
		return "", &wire.Failure{Kind: wire.FailInput, Message: err.Error()}
	}
	steps, status, done := newProgress(t.Events), make(chan *client.SolveStatus), make(chan struct{})
	go func() {
		steps.follow(status)
		close(done)
	}()
	res, err := c.Solve(ctx, nil, o, status)
	<-done
	if err != nil {
		if t.Steps != nil {
			steps.tellDone(t.Steps)
		}
		f := failure(err, t.Inputs.Job.Dockerfile, string(t.Inputs.Text), steps)
		if len(f.Missing) > 0 {
			f.Missing = missingImages(ctx, t.Inputs.Job, t.Inputs.Text, f.Missing)
		}
		return "", f
	}
	return res.ExporterResponse[digestKey], nil
}

// SaveCache saves the cache of a solve that failed: the results of the steps that went well.
func SaveCache(ctx context.Context, c *client.Client, t Task) error {
	if len(t.Steps.Ends()) == 0 {
		return nil
	}
	o, err := t.options()
	if err != nil {
		return err
	}
	var imports []gateway.CacheOptionsEntry
	for _, i := range o.CacheImports {
		imports = append(imports, gateway.CacheOptionsEntry(i))
	}
	o.Exports, o.Internal = nil, true
	_, err = c.Build(ctx, o, "", t.Steps.Build(imports), nil)
	return err
}
