package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Result is what the guest tells of a solve. It has either a payload or a failure.
type Result struct {
	Payload *Payload `json:"payload,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	Cache   *Payload `json:"cache,omitempty"` // blobs of the cache that the host does not have, beside either
	Times   Times    `json:"times"`
	Memory  Memory   `json:"memory"`
}

// Payload is an archive on the output disk. The image is an OCI archive with one manifest; of the cache there are only
// blobs/sha256/….
type Payload struct {
	Offset int64  `json:"offset,omitempty"` // from PayloadOffset on; the image comes first
	Size   int64  `json:"size"`             // bytes
	SHA256 string `json:"sha256"`           // of the archive, hex
	Digest string `json:"digest,omitempty"` // of the image's or the cache's manifest, "sha256:…"
}

// Times are seconds since the machine started, at the end of each part of the guest's work; 0 where it did not get to.
type Times struct {
	Init     float64 `json:"init,omitempty"`     // the guest's first instruction
	Modules  float64 `json:"modules,omitempty"`  // kernel modules loaded
	Inputs   float64 `json:"inputs,omitempty"`   // disks found, archive indexed
	BuildKit float64 `json:"buildkit,omitempty"` // BuildKit ready
	Solved   float64 `json:"solved,omitempty"`   // every step done and the image written
	Synced   float64 `json:"synced,omitempty"`   // the output disk written out
}

// Memory is what the guest used, in KiB.
type Memory struct {
	Total        int64 `json:"total,omitempty"`         // what the kernel has
	MinAvailable int64 `json:"min_available,omitempty"` // the least that was left
	ScratchUsed  int64 `json:"scratch_used,omitempty"`  // on the scratch space, at the end
	SwapUsed     int64 `json:"swap_used,omitempty"`     // at the end
}

// Kinds of failures.
const (
	FailRun        = "run"        // a RUN command ended with an exit code that is not 0
	FailDockerfile = "dockerfile" // the Dockerfile, or a file it names, is at fault
	FailSource     = "source"     // FROM, COPY --from or ADD names what the job does not have
	FailOOM        = "oom"        // the machine's memory was too small
	FailScratch    = "scratch"    // the scratch space was full
	FailOutput     = "output"     // the output disk was full
	FailInput      = "input"      // the input disk or the secrets disk is damaged
	FailInternal   = "internal"   // all else
)

// Failure says why there is no image.
type Failure struct {
	Kind     string    `json:"kind"`
	Message  string    `json:"message"`             // one or more lines, without the position
	ExitCode int       `json:"exit_code,omitempty"` // of the command, with FailRun
	Step     string    `json:"step,omitempty"`      // "[build 2/3] RUN make"
	Position *Position `json:"position,omitempty"`
	Output   []string  `json:"output,omitempty"`  // the last lines the step wrote
	Missing  []string  `json:"missing,omitempty"` // with FailSource: images the job lacks, "docker.io/library/alpine:3.22"
}

// Position is a place in a Dockerfile.
type Position struct {
	File    string        `json:"file"`
	Line    int           `json:"line"`              // from 1
	Column  int           `json:"column,omitempty"`  // from 1, in bytes; 0 when the whole line is meant
	Width   int           `json:"width,omitempty"`   // bytes from Column on
	Excerpt []ExcerptLine `json:"excerpt,omitempty"` // the lines around
}

// ExcerptLine is a line of a Dockerfile.
type ExcerptLine struct {
	Line   int    `json:"line"`
	Text   string `json:"text"`
	Marked bool   `json:"marked,omitempty"` // it is one of those at fault
}

// Limits of a failure's parts; the guest cuts what is longer.
const (
	MaxMessage     = 16 << 10 // bytes
	MaxOutputLines = 40
	MaxOutputLine  = 1 << 10 // bytes
	MaxExcerpt     = 24      // lines
)

// encode renders r, cut to the limits so that it always fits.
func (r Result) encode() ([]byte, error) {
	if r.Failure != nil {
		f := r.Failure.bounded()
		r.Failure = &f
	}
	text, err := json.Marshal(r)
	if err == nil && len(text) > MaxResult {
		err = fmt.Errorf("the result is %d bytes long, %d may be", len(text), MaxResult)
	}
	return text, err
}

func decodeResult(text []byte) (Result, error) {
	var r Result
	if err := decodeJSON(text, &r); err != nil {
		return Result{}, fmt.Errorf("result: %w", err)
	}
	if (r.Payload == nil) == (r.Failure == nil) {
		return Result{}, fmt.Errorf("result: it must have either a payload or a failure")
	}
	for _, p := range []*Payload{r.Payload, r.Cache} {
		if p != nil && (p.Size < 0 || p.Offset < 0 || p.Offset > maxOffset) {
			return Result{}, fmt.Errorf("result: a payload of %d bytes at %d", p.Size, p.Offset)
		}
	}
	return r, nil
}

// maxOffset bounds a payload's offset so that sums with it never overflow, in bytes.
const maxOffset = 1 << 50

func (f Failure) bounded() Failure {
	f.Message, f.Step = clip(f.Message, MaxMessage), clip(f.Step, MaxOutputLine)
	lines := f.Output[max(0, len(f.Output)-MaxOutputLines):]
	f.Output = nil
	for _, l := range lines {
		f.Output = append(f.Output, clip(l, MaxOutputLine))
	}
	f.Missing = f.Missing[:min(len(f.Missing), MaxOutputLines)]
	if f.Position != nil {
		p := *f.Position
		lines := p.Excerpt[:min(len(p.Excerpt), MaxExcerpt)]
		p.Excerpt = nil
		for _, l := range lines {
			l.Text = clip(l.Text, MaxOutputLine)
			p.Excerpt = append(p.Excerpt, l)
		}
		f.Position = &p
	}
	return f
}

// clip cuts s to n bytes, at a whole character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// String renders f as several lines: the message with its place, the excerpt, and what the step wrote last.
//
//	Dockerfile:3: RUN make: exit code 2
//	   2 | FROM alpine:3.22
//	 > 3 | RUN make
//	     | ^^^
//	[2/2] RUN make wrote last:
//	    make: nothing to do
func (f Failure) String() string {
	var b strings.Builder
	if p := f.Position; p != nil {
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	}
	b.WriteString(f.Message + "\n")
	if f.Position != nil {
		f.Position.excerpt(&b)
	}
	if len(f.Output) > 0 {
		fmt.Fprintf(&b, "%s wrote last:\n", f.Step)
		for _, l := range f.Output {
			b.WriteString("    " + l + "\n")
		}
	}
	return b.String()
}

func (p Position) excerpt(b *strings.Builder) {
	for _, l := range p.Excerpt {
		mark := ' '
		if l.Marked {
			mark = '>'
		}
		fmt.Fprintf(b, "%c %3d | %s\n", mark, l.Line, l.Text)
		if l.Line == p.Line && p.Column > 0 && p.Column <= len(l.Text) {
			width := min(max(1, p.Width), len(l.Text)-p.Column+1)
			fmt.Fprintf(b, "      | %s%s\n", blanks(l.Text[:p.Column-1]), strings.Repeat("^", width))
		}
	}
}

// blanks is as wide as s on a terminal, tabs included.
func blanks(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}
