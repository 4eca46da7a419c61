package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

func TestReport(t *testing.T) {
	for _, r := range []Report{
		{}, {Entries: 1, Bytes: 1 << 40}, {Done: true, Free: 5, Dropped: &Dropped{2, "user.a", `"/\xff"`}},
		{Failure: "\"/a\\n\": no\nspace", Full: true},
	} {
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(b.String(), "\n")
		if got, err := Parse([]byte(line)); err != nil || !reflect.DeepEqual(got, r) || strings.Contains(line, "\n") {
			t.Errorf("%q: %+v, %v, want %+v", line, got, err, r)
		}
	}
}

// Whatever a message has, its line is no longer than the host reads.
func TestLongReport(t *testing.T) {
	long := strings.Repeat("\x01", 1<<20) // JSON takes 6 bytes for each
	var b bytes.Buffer
	if err := (Report{Failure: long[:1<<19]}).Write(&b); err != nil || b.Len() > MaxLine {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

func TestNoReport(t *testing.T) {
	for _, line := range []string{"", "x", "{", `{"entries": "many"}`, "[]"} {
		if r, err := Parse([]byte(line)); err == nil {
			t.Errorf("%q: %+v", line, r)
		}
	}
}

// FuzzParse reads what a guest that was taken over writes to the progress console.
func FuzzParse(f *testing.F) {
	var b bytes.Buffer
	if err := (Report{Done: true, Free: 5, Dropped: &Dropped{2, "user.a", `"/a"`}}).Write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, line []byte) {
		fuzztest.Limit(t, 1<<20+20*len(line), func() {
			if _, err := Parse(line); err != nil && len(err.Error()) > 1<<10 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	})
}
