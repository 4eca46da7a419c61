package dockerfiles

import (
	"slices"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
)

// matrix is every Dockerfile.
var matrix = slices.Concat(languageCases, copyCases, runCases, treeCases, configCases)

// TestMatrix builds every Dockerfile with the BuildKit in the guest and its own executor, and with buildkitd, runc and
// BuildKit's client: same tree, same configuration. Fledge with that buildkitd gives the same bytes as without.
func TestMatrix(t *testing.T) {
	harness.NeedSlow(t, "builds every Dockerfile three times")
	if len(matrix) < 40 {
		t.Errorf("%d Dockerfiles", len(matrix))
	}
	base, peer := needBase(t), needDaemon(t)
	for _, d := range matrix {
		t.Run(d.name, func(t *testing.T) {
			o := d.options(t, base)
			o.Program = embedded(t)
			layout, digest := fledge(t, o)
			got := readImage(t, layout)
			compare(t, "buildkitd", readImage(t, peer.buildctlBuild(t, base, d)), got)
			if t.Failed() {
				t.Logf("Dockerfile:\n%s", d.text)
			}
			o = d.options(t, base)
			o.Program = peer.program(t)
			if _, fromDaemon := fledge(t, o); fromDaemon != digest {
				t.Errorf("the digest is %s, and with a daemon %s", digest, fromDaemon)
			}
		})
	}
}
