package partial

import (
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// record gives a recorder that knows all steps behind a state.
func record(t *testing.T, s llb.State) *Recorder {
	t.Helper()
	d, err := s.Marshal(t.Context(), llb.LinuxAmd64)
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorder{}
	if err := r.add(d.ToPB()); err != nil {
		t.Fatal(err)
	}
	return r
}

// digestOf is the digest of the step that made a state.
func digestOf(t *testing.T, s llb.State) digest.Digest {
	t.Helper()
	c := llb.NewConstraints(llb.LinuxAmd64)
	d, _, _, _, err := s.Output().Vertex(t.Context(), c).Marshal(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEnds(t *testing.T) {
	files := llb.Local("context", llb.SessionID("old"))
	copied := llb.Scratch().File(llb.Copy(files, "a", "/a"))
	other := llb.Scratch().File(llb.Mkfile("/b", 0o644, nil))
	failed := copied.File(llb.Rm("/none"))
	r := record(t, failed.File(llb.Copy(other, "/b", "/b")))
	r.Done(digest.FromString("a step of another solve"))
	for _, c := range []struct {
		name string
		done llb.State
		want int // ends
	}{
		{"a source", files, 0},
		{"a step", copied, 1},
		{"a step of another branch", other, 2},
	} {
		r.Done(digestOf(t, c.done))
		if ends := r.Ends(); len(ends) != c.want {
			t.Errorf("%s is done, too: ends %v, want %d", c.name, ends, c.want)
		}
	}
	d, renamed, err := r.definition("new")
	if err != nil || len(d.Def) != 3 {
		t.Fatalf("%d steps, %v", len(d.Def), err)
	}
	for _, raw := range d.Def {
		var op pb.Op
		if err := op.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		if s := op.GetSource(); s != nil && s.Attrs[pb.AttrLocalSessionID] != "new" {
			t.Errorf("source %v", s)
		}
	}
	for _, end := range r.Ends() {
		if d.Metadata[renamed[end.Digest]] == nil {
			t.Errorf("end %s is not in the definition", end.Digest)
		}
	}
}

// TestWithoutSource: a step whose input is not known to be done is not one to begin with.
func TestWithoutSource(t *testing.T) {
	copied := llb.Scratch().File(llb.Copy(llb.Local("context"), "a", "/a"))
	r := record(t, copied.File(llb.Rm("/none")))
	r.Done(digestOf(t, copied))
	if ends := r.Ends(); len(ends) > 0 {
		t.Errorf("ends %v", ends)
	}
}
