package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
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
