// Package solve is the client's side of a solve: it asks a BuildKit, the one inside this program or a daemon, for the
// image of a job, and turns its progress and errors into those of package wire.
package solve

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/tonistiigi/fsutil"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/tools/guest/internal/buildkit"
	"github.com/fledge-build/fledge/tools/guest/internal/inputs"
	"github.com/fledge-build/fledge/tools/guest/internal/partial"
)

// Task is what to solve, and where its image goes.
type Task struct {
	Inputs  *inputs.Inputs
	Secrets wire.Secrets
	Output  io.Writer // gets the OCI archive
	Events  func(wire.Event)
	Cache   bool // use and save the cache of the job; the BuildKit is the one inside this program
	// Steps is that BuildKit's, for SaveCache; may be nil.
	Steps *partial.Recorder
	// HostNetwork says that the BuildKit allows RUN --network=host in a job that may use the network. A daemon that does not
	// would refuse the whole job.
	HostNetwork bool
}

// Names of build contexts in a solve.
const (
	localContext    = "context"
	localDockerfile = "dockerfile"
)

// epochArg is the build argument that says the time of new files.
const epochArg = "SOURCE_DATE_EPOCH"

// options are the solve's; the same for every BuildKit.
func (t Task) options() (client.SolveOpt, error) {
	job := t.Inputs.Job
	attrs := map[string]string{
		"filename": job.Dockerfile,
		"target":   job.Target,
		"platform": "linux/" + job.Arch,
		// That it is there keeps the frontend from fetching another one for a "# syntax=" line; checkSyntax refuses those
		// that the bundled one does not answer.
		"cmdline":               "fledge",
		"build-arg:" + epochArg: strconv.FormatInt(job.Epoch, 10),
	}
	for k, v := range job.BuildArgs {
		attrs["build-arg:"+k] = v
	}
	for k, v := range job.Labels {
		attrs["label:"+k] = v
	}
	if err := addImages(attrs, job.Images); err != nil {
		return client.SolveOpt{}, err
	}
	o := client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: attrs,
		LocalMounts:   map[string]fsutil.FS{localContext: t.Inputs.Context, localDockerfile: t.Inputs.Dockerfile},
		OCIStores:     t.Inputs.Stores,
		SourcePolicy:  policy(job.Network),
		Exports:       []client.ExportEntry{t.export()},
	}
	switch {
	case !job.Network:
		attrs["force-network-mode"] = "none"
	case t.HostNetwork:
		o.AllowedEntitlements = []string{"network.host"}
	}
	if t.Cache {
		o.CacheExports = append(o.CacheExports, buildkit.CacheExport(compression))
		for _, d := range job.Cache.Manifests {
			o.CacheImports = append(o.CacheImports, buildkit.CacheImport(d))
		}
	}
	return o, t.addSecrets(&o)
}

// addImages maps what FROM may say to the images. Two images that it cannot tell apart are an error.
func addImages(attrs map[string]string, images []wire.Image) error {
	known := map[string]wire.Image{}
	for _, im := range images {
		name, err := contextName(im.Ref)
		if err != nil {
			return err
		}
		if other, ok := known[name]; ok && other.Digest != im.Digest {
			return fmt.Errorf("base images %s and %s are both %s in a Dockerfile: keep one of them", other.Ref, im.Ref, name)
		}
		known[name] = im
		attrs["context:"+name] = "oci-layout://" + im.Store + "@" + im.Digest
	}
	return nil
}

// compression is that of the layers that the Dockerfile adds.
const compression = "gzip"

// export asks for an OCI archive whose new layers have no time after the epoch. Compression is not forced: the layers
// of the base images keep their bytes, and with those their digests.
func (t Task) export() client.ExportEntry {
	return client.ExportEntry{
		Type:   client.ExporterOCI,
		Output: func(map[string]string) (io.WriteCloser, error) { return nopCloser{t.Output}, nil },
		Attrs: map[string]string{
			"rewrite-timestamp": "true", "compression": compression, "oci-mediatypes": "true",
		},
	}
}

func (t Task) addSecrets(o *client.SolveOpt) error {
	job, values := t.Inputs.Job, map[string][]byte{}
	for _, id := range job.Secrets {
		value, ok := t.Secrets.Secrets[id]
		if !ok {
			return fmt.Errorf("secret %s of the job is not on the secrets disk", id)
		}
		values[id] = value
	}
	if len(values) > 0 {
		o.Session = append(o.Session, secretsprovider.FromMap(values))
	}
	if len(job.SSH) == 0 {
		return nil
	}
	agents, err := sshAgents(job.SSH, t.Secrets.SSH)
	if err == nil {
		o.Session = append(o.Session, agents)
	}
	return err
}

// policy is the backstop of named contexts: whatever the job does not have is refused, not fetched. Images come from
// the job alone, with network, too.
func policy(network bool) *spb.Policy {
	schemes := []string{"docker-image", "docker-image+blob", "oci-layout+blob"}
	if !network {
		schemes = append(schemes, "git", "http", "https")
	}
	p := &spb.Policy{Version: 1}
	for _, s := range schemes {
		p.Rules = append(p.Rules, &spb.Rule{
			Action:   spb.PolicyAction_DENY,
			Selector: &spb.Selector{Identifier: s + "://*", MatchType: spb.MatchType_WILDCARD},
		})
	}
	return p
}

// contextName is the name under which the frontend looks for an image: docker.io/library/alpine:latest is "alpine".
func contextName(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fmt.Errorf("base image %s: %w", ref, err)
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest"), nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
