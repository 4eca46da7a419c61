package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

func FuzzDecodeJob(f *testing.F) {
	b, _ := fullJob().Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := DecodeJob(b)
		if err != nil {
			return
		}
		again, err := j.Encode()
		if err != nil {
			t.Fatalf("a job that was read cannot be written: %v", err)
		}
		if _, err := DecodeJob(again); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzReadSecrets(f *testing.F) {
	b, _ := Secrets{Secrets: map[string][]byte{"a": []byte("b")}}.Encode()
	f.Add(b[HeaderOffset:])
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Limit(t, 2*MaxSecrets+20*len(b), func() {
			ReadSecrets(bytes.NewReader(append(make([]byte, HeaderOffset), b...)))
		})
	})
}

// memory is a disk that takes writes within its length.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(m).ReadAt(p, at) }
func (m memory) Sync() error                            { return nil }
func (m memory) WriteAt(p []byte, at int64) (int, error) {
	if n := copy(m[min(at, int64(len(m))):], p); n < len(p) {
		return n, io.ErrShortWrite
	}
	return len(p), nil
}

func FuzzReadResult(f *testing.F) {
	d := make(memory, 3*HeaderOffset)
	FormatOutput(d, Nonce{})
	Finish(d, Nonce{}, Result{Failure: &Failure{Kind: FailRun, Position: &Position{Column: 5}, Output: []string{"x"}}})
	f.Add([]byte(d[HeaderOffset:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(append(make([]byte, HeaderOffset), b...))
		res, err := ReadResult(r, Nonce{})
		if err == nil && res.Failure != nil {
			_ = res.Failure.String()
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	lying := &Position{Column: 5, Width: 1 << 40, Excerpt: []ExcerptLine{{Text: "RUN make"}}}
	b, _ := Result{Failure: &Failure{Kind: FailRun, Position: lying}}.encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Limit(t, 4<<20+500*len(b), func() {
			if res, err := decodeResult(b); err == nil && res.Failure != nil {
				_ = res.Failure.String()
			}
		})
	})
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(Event{Kind: EventLog, Text: "x", Step: 1}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := DecodeEvent(b); err == nil && len(e.Encode()) > MaxEvent+1 {
			t.Fatal("too long")
		}
	})
}
