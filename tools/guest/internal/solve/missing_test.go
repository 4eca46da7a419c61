package solve

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

func TestMissingImages(t *testing.T) {
	const hub = "docker.io/library/"
	for _, c := range []struct {
		name, text string
		edit       func(j *wire.Job)
		want       []string
	}{
		{"none", "FROM base:1 AS a\nFROM a\nCOPY --from=0 / /\nRUN --mount=target=/m,from=a true\nFROM scratch\nCOPY --from=a / /\n", nil, nil},
		{"all kinds", "FROM base:1\nCOPY --from=ghcr.io/a/b / /\nRUN --mount=target=/m,from=c:2 true\nFROM d\nCOPY --from=0 / /\n", nil,
			[]string{hub + "c:2", hub + "d:latest", "ghcr.io/a/b:latest"}},
		{"the same one", "FROM d AS a\nFROM docker.io/library/d:latest\nCOPY --from=a / /\nCOPY --from=d / /\n", nil, []string{hub + "d:latest"}},
		{"stages that the target does not need", "FROM x\nFROM y AS y1\nFROM z AS unused\nCOPY --from=w / /\nFROM y1\n", nil, []string{hub + "y:latest"}},
		{"target", "FROM x AS a\nFROM y\n", func(j *wire.Job) { j.Target = "a" }, []string{hub + "x:latest"}},
		{"no such target", "FROM x AS a\n", func(j *wire.Job) { j.Target = "b" }, nil},
		{"arguments", "ARG V=1\nARG W=w\nARG X=${W:+x}\nARG SOURCE_DATE_EPOCH=x\nFROM ${W}-$X:$V-$TARGETARCH\n",
			func(j *wire.Job) { j.BuildArgs = map[string]string{"V": "7", "N": "x"}; j.Arch = "arm64" }, []string{hub + "w-x:7-arm64"}},
		{"declared by its full name", "FROM base\n", func(j *wire.Job) { j.Images[0].Ref = hub + "base:latest" }, nil},
		{"another tag", "FROM base:2\n", nil, []string{hub + "base:2"}},
		{"BuildKit's affair", "FROM x\nNONSENSE\n", nil, nil},
		{"no image at all", "FROM scratch\nRUN --mount=target=/m true\n", nil, nil},
		{"empty", "", nil, nil},
	} {
		job := wire.Job{Dockerfile: "Dockerfile", Arch: "amd64", Images: []wire.Image{{Ref: "base:1"}}}
		if c.edit != nil {
			c.edit(&job)
		}
		if diff := cmp.Diff(c.want, missingImages(t.Context(), job, []byte(c.text), nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if len(job.BuildArgs) == 3 {
			t.Errorf("%s: the job's arguments are changed", c.name)
		}
	}
}
