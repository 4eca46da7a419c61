package wire

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func fullJob() Job {
	return Job{
		Dockerfile: "Dockerfile", Target: "release", BuildArgs: map[string]string{"B": "2", "A": "1=x"},
		Labels: map[string]string{"org.example.who": "me"}, Arch: "amd64", Epoch: 1,
		Images:  []Image{{Ref: "alpine:3.22", Store: "s0", Digest: someDigest}},
		Secrets: []string{"token"}, SSH: []string{"default"}, Network: true, Scratch: ScratchSwap,
		Cache: &Cache{Manifests: []string{someDigest}},
	}
}

func TestJobGolden(t *testing.T) {
	got, err := fullJob().Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"dockerfile":"Dockerfile","target":"release","build_args":{"A":"1=x","B":"2"},` +
		`"labels":{"org.example.who":"me"},"arch":"amd64","epoch":1,` +
		`"images":[{"ref":"alpine:3.22","store":"s0","digest":"` + someDigest + `"}],` +
		`"secrets":["token"],"ssh":["default"],"network":true,` +
		`"scratch":"swap","cache":{"manifests":["` + someDigest + `"]}}` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	back, err := DecodeJob(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fullJob(), back); diff != "" {
		t.Error(diff)
	}
}

func TestJobErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(j *Job)
		want string
	}{
		{"dockerfile in a folder", func(j *Job) { j.Dockerfile = "a/Dockerfile" }, "without a folder"},
		{"no dockerfile", func(j *Job) { j.Dockerfile = "" }, "dockerfile"},
		{"arch", func(j *Job) { j.Arch = "riscv" }, "amd64, arm64"},
		{"epoch", func(j *Job) { j.Epoch = -1 }, "epoch -1"},
		{"scratch", func(j *Job) { j.Scratch = "disk" }, "one of tmpfs, swap"},
		{"argument", func(j *Job) { j.BuildArgs["A=B"] = "" }, "A=B"},
		{"label", func(j *Job) { j.Labels[""] = "v" }, "without a name"},
		{"reference", func(j *Job) { j.Images[0].Ref = "a b" }, "no reference"},
		{"store", func(j *Job) { j.Images[0].Store = "../x" }, "store"},
		{"digest", func(j *Job) { j.Images[0].Digest = strings.ToUpper(someDigest) }, "digest"},
		{"image twice", func(j *Job) { j.Images = append(j.Images, j.Images[0]) }, "twice"},
		{"secret", func(j *Job) { j.Secrets = []string{".npmrc", "a=b"} }, `secret "a=b"`},
		{"secret twice", func(j *Job) { j.Secrets = []string{"a", "a"} }, "secret a is there twice"},
		{"ssh", func(j *Job) { j.SSH = []string{"a/b"} }, "ssh key"},
		{"cache", func(j *Job) { j.Cache.Manifests[0] = "sha256:../.." }, "cache manifest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := fullJob()
			c.edit(&j)
			if _, err := j.Encode(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	for _, text := range []string{"", "{", "{}", `{"dockerfile":"D","arch":"amd64","epoch":0}x`, `{"nothing":1}`, "null"} {
		if _, err := DecodeJob([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), JobFile) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// disk is a file of the size that the host would give.
func disk(t *testing.T) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(PayloadOffset + 100); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOutputDisk(t *testing.T) {
	d, nonce := disk(t), Nonce{1, 2, 3}
	expect := func(want State) {
		t.Helper()
		if got, n, err := ReadState(d); err != nil || got != want || n != nonce {
			t.Fatalf("state %v, nonce %x, %v; want %v", got, n, err, want)
		}
	}
	if _, _, err := ReadState(d); err == nil {
		t.Fatal("a disk of zeros is taken for an output disk")
	}
	if err := FormatOutput(d, nonce); err != nil {
		t.Fatal(err)
	}
	expect(Empty)
	if n, err := Begin(d); err != nil || n != nonce {
		t.Fatal(n, err)
	}
	expect(Running)
	if _, err := Begin(d); err == nil || !strings.Contains(err.Error(), "restarted") {
		t.Fatalf("second start: %v", err)
	}
	w := NewPayloadWriter(d, PayloadOffset+100)
	for _, part := range []string{"hello ", "world"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(make([]byte, 90)); err != ErrOutputFull {
		t.Fatalf("too much: %v", err)
	}
	p := w.Payload()
	if err := Finish(d, nonce, Result{Payload: &p}); err != nil {
		t.Fatal(err)
	}
	expect(Done)
	res, err := ReadResult(d, nonce)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := CopyPayload(&b, d, *res.Payload); err != nil || b.String() != "hello world" {
		t.Fatalf("%q, %v", b.String(), err)
	}
	if _, err := ReadResult(d, Nonce{9}); err == nil || !strings.Contains(err.Error(), "another solve") {
		t.Errorf("another nonce: %v", err)
	}
	d.WriteAt([]byte("J"), PayloadOffset)
	if err := CopyPayload(&b, d, *res.Payload); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged image: %v", err)
	}
	if err := CopyPayload(&b, d, Payload{Size: 1 << 40}); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("cut off image: %v", err)
	}
	d.WriteAt([]byte("J"), resultOffset+3)
	if _, err := ReadResult(d, nonce); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged result: %v", err)
	}
}

// A failure always fits, whatever a build writes.
func TestFailureIsCut(t *testing.T) {
	long := strings.Repeat("ä\x00", MaxResult)
	f := Failure{Kind: FailRun, Message: long, Step: long, Position: &Position{File: "D", Line: 1}}
	for range 1000 {
		f.Output = append(f.Output, long)
		f.Position.Excerpt = append(f.Position.Excerpt, ExcerptLine{Text: long})
	}
	f.Output[999] = "the last line"
	d := disk(t)
	if err := FormatOutput(d, Nonce{}); err != nil {
		t.Fatal(err)
	}
	if err := Finish(d, Nonce{}, Result{Failure: &f}); err != nil {
		t.Fatal(err)
	}
	res, err := ReadResult(d, Nonce{})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Failure.Output; len(got) != MaxOutputLines || got[MaxOutputLines-1] != "the last line" {
		t.Errorf("%d lines of output", len(got))
	}
	if len(f.Output) != 1000 || len(f.Position.Excerpt) != 1000 {
		t.Error("the caller's failure was changed")
	}
}

func TestFailureString(t *testing.T) {
	f := Failure{
		Kind: FailRun, Message: "RUN make: exit code 2", Step: "[2/2] RUN make", Output: []string{"make: nothing to do"},
		Position: &Position{File: "Dockerfile", Line: 3, Column: 2, Width: 3, Excerpt: []ExcerptLine{
			{Line: 2, Text: "FROM alpine:3.22"}, {Line: 3, Text: "\tRUN make", Marked: true}}},
	}
	want := "Dockerfile:3: RUN make: exit code 2\n    2 | FROM alpine:3.22\n>   3 | \tRUN make\n      | \t^^^\n" +
		"[2/2] RUN make wrote last:\n    make: nothing to do\n"
	if diff := cmp.Diff(want, f.String()); diff != "" {
		t.Error(diff)
	}
}

func TestSecrets(t *testing.T) {
	in := Secrets{
		Secrets: map[string][]byte{"a": []byte("one\x00"), "b": {}},
		SSH:     map[string][]byte{"default": []byte("key")},
	}
	b, err := in.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if len(b)%4096 != 0 || string(b[4096:4104]) != SecretsMagic {
		t.Errorf("%d bytes, magic %q", len(b), b[4096:4104])
	}
	got, err := ReadSecrets(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, got); diff != "" {
		t.Error(diff)
	}
	if _, err := (Secrets{SSH: map[string][]byte{"x": make([]byte, MaxSecret+1)}}).Encode(); err == nil {
		t.Error("a secret may have any size")
	}
	b[4112] = 'X'
	if _, err := ReadSecrets(bytes.NewReader(b)); err == nil || strings.Contains(err.Error(), "X") {
		t.Errorf("damaged content: %v", err)
	}
	b[4110] = 1
	if _, err := ReadSecrets(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "may be") {
		t.Errorf("lying size: %v", err)
	}
}

func TestEvents(t *testing.T) {
	in := Event{Kind: EventDone, Step: 3, Error: "exit code: 1", Seconds: 1.5}
	line := in.Encode()
	if want := `{"k":"done","v":3,"e":"exit code: 1","sec":1.5}` + "\n"; string(line) != want {
		t.Errorf("got %q", line)
	}
	if got, err := DecodeEvent(line); err != nil || got != in {
		t.Errorf("%+v, %v", got, err)
	}
	for _, e := range []Event{
		{Kind: EventLog, Text: strings.Repeat("\x01", 1<<20), Error: strings.Repeat("€", 1<<20)},
		{Kind: EventDone, Seconds: math.NaN()},
		{Kind: EventLog, Text: "two\nlines"},
	} {
		line := e.Encode()
		if len(line) > MaxEvent+1 || bytes.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("%s: %d bytes", e.Kind, len(line))
		}
		if _, err := DecodeEvent(line); err != nil {
			t.Error(err)
		}
	}
	if _, err := DecodeEvent(make([]byte, MaxEvent+2)); err == nil {
		t.Error("a line may have any length")
	}
}

// TestNextPayload has the cache behind the image.
func TestNextPayload(t *testing.T) {
	d := disk(t)
	image := NewPayloadWriter(d, PayloadOffset+HeaderOffset+10)
	image.Write([]byte("the image"))
	next := image.Next()
	if _, err := next.Write([]byte("the cache")); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Write([]byte("..")); err != ErrOutputFull {
		t.Errorf("too much: %v", err)
	}
	for want, p := range map[string]Payload{"the image": image.Payload(), "the cache": next.Payload()} {
		var b bytes.Buffer
		if err := CopyPayload(&b, d, p); err != nil || b.String() != want {
			t.Errorf("%q, %v", b.String(), err)
		}
	}
	if p := next.Payload(); p.Offset != HeaderOffset {
		t.Errorf("offset %d", p.Offset)
	}
	for _, text := range []string{
		`{"payload":{"size":1,"sha256":""},"cache":{"offset":-1,"size":1,"sha256":""},"times":{},"memory":{}}`,
		`{"payload":{"size":1,"sha256":""},"cache":{"offset":9223372036854775807,"size":1,"sha256":""},"times":{},"memory":{}}`,
	} {
		if _, err := decodeResult([]byte(text)); err == nil || !strings.Contains(err.Error(), "payload of") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
