package solve

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// denied is how BuildKit tells of a source that the policy refuses. Only the text passes its client.
var denied = regexp.MustCompile(`source "([a-z+-]+)://([^"]+)" (?:denied|not allowed) by policy`)

// entitlement is how BuildKit tells of a right that no solve has; plain are errors of the Dockerfile that come without
// a place in it.
var (
	entitlement = regexp.MustCompile(`\b(security\.insecure|network\.host|device) is not allowed`)
	plain       = regexp.MustCompile(`^target stage "[^"]*" could not be found`)
)

// flags are what asks for a right.
var flags = map[string]string{
	"security.insecure": "--security=insecure", "network.host": "--network=host", "device": "--device",
}

// failure says what became of a solve of file, whose content is text, that ended with err. steps knows what the steps
// wrote.
func failure(err error, file, text string, steps *progress) *wire.Failure {
	f := &wire.Failure{Kind: wire.FailInternal, Message: message(err)}
	hint := f.Message // names what is at fault
	var vertex *errdefs.VertexError
	if errors.As(err, &vertex) {
		f.Step, f.Output = steps.about(vertex.Digest)
	}
	var exit *gatewayapi.ExitError
	sources := errdefs.Sources(err)
	switch no := denied.FindStringSubmatch(err.Error()); {
	case errors.Is(err, wire.ErrOutputFull) || strings.Contains(err.Error(), wire.ErrOutputFull.Error()):
		f.Kind, f.Message = wire.FailOutput, wire.ErrOutputFull.Error()
	case no != nil:
		f.Kind, f.Message, hint = wire.FailSource, refusal(no[1], no[2]), no[2]
		if no[1] == "docker-image" {
			f.Missing = []string{no[2]}
			hint, _ = contextName(no[2])
		}
	case errors.As(err, &exit):
		f.Kind, f.ExitCode, hint = wire.FailRun, int(exit.ExitCode), ""
	case entitlement.MatchString(f.Message):
		hint = flags[entitlement.FindStringSubmatch(f.Message)[1]]
		f.Kind, f.Message = wire.FailDockerfile, "RUN "+hint+" is not supported in a solve"
	case len(sources) > 0 || plain.MatchString(f.Message):
		f.Kind = wire.FailDockerfile
	}
	for _, s := range sources {
		if s.Info == nil || len(s.Ranges) == 0 {
			continue
		}
		first, last := s.Ranges[0].Start.Line, s.Ranges[0].End.Line
		for _, r := range s.Ranges {
			first, last = min(first, r.Start.Line), max(last, r.End.Line)
		}
		f.Position = position(s.Info.Filename, string(s.Info.Data), int(first), int(last), hint)
		return f
	}
	if hint != f.Message { // BuildKit does not say where
		f.Position = locate(file, text, hint)
	}
	return f
}

// locate describes the first line that has the word, or is nil.
func locate(file, text, word string) *wire.Position {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if word != "" && wordIndex(line, word) >= 0 {
			return position(file, text, number, number, `"`+word+`"`)
		}
	}
	return nil
}

func refusal(scheme, name string) string {
	switch scheme {
	case "docker-image":
		return fmt.Sprintf("image %s is not among the base images of this solve: nothing is pulled", name)
	case "http", "https", "git":
		return fmt.Sprintf("%s://%s cannot be fetched, for this solve has no network: "+
			"put the files into the build context, or allow the network", scheme, name)
	}
	return fmt.Sprintf("%s://%s cannot be fetched in a solve", scheme, name)
}

// noise is what BuildKit's layers put in front of the error proper.
var noise = regexp.MustCompile(`^(failed to solve|failed to solve with frontend [\w.]+|failed to read dockerfile|` +
	`failed to build LLB|failed to load LLB|rpc error: code = \w+ desc =|ResourceExhausted|failed to compute cache key|` +
	`failed to calculate checksum of ref \S+|failed to load cache key|dockerfile parse error on line \d+)(:| ) ?`)

// message is err without the names of the layers it came through.
func message(err error) string {
	text := err.Error()
	for {
		short := noise.ReplaceAllString(text, "")
		if short == text || short == "" {
			return text
		}
		text = short
	}
}

// around is how many lines of the Dockerfile an excerpt shows before and after the ones at fault.
const around = 2

// position describes lines of a Dockerfile. hint is the error's text: where it names a word of the first line, that
// word is pointed out.
func position(file, text string, first, last int, hint string) *wire.Position {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	first = min(max(first, 1), len(lines))
	last = min(max(last, first), len(lines))
	p := &wire.Position{File: file, Line: first}
	for n := max(1, first-around); n <= min(len(lines), last+around); n++ {
		p.Excerpt = append(p.Excerpt, wire.ExcerptLine{
			Line: n, Text: strings.TrimSuffix(lines[n-1], "\r"), Marked: n >= first && n <= last,
		})
	}
	p.Column, p.Width = find(lines[first-1], hint)
	return p
}

var words = regexp.MustCompile(`"[^"]+"|[^\s"'(),:]+(?::[^\s"'(),:]+)*`)

// find looks for the words of hint in line, quoted ones first, and returns the column from 1 and the width of the first
// found; 0 when none is.
func find(line, hint string) (column, width int) {
	list := words.FindAllString(hint, -1)
	slices.SortStableFunc(list, func(a, b string) int { return strings.Count(b, `"`) - strings.Count(a, `"`) })
	for _, w := range list {
		w = strings.Trim(w, `"/`)
		if len(w) < 2 {
			continue
		}
		if at := wordIndex(line, w); at >= 0 {
			return at + 1, len(w)
		}
	}
	return 0, 0
}

// wordIndex is where w is in line as a word of its own.
func wordIndex(line, w string) int {
	for from := 0; ; {
		at := strings.Index(line[from:], w)
		if at < 0 {
			return -1
		}
		at += from
		end := at + len(w)
		if (at == 0 || !wordChar(line[at-1])) && (end == len(line) || !wordChar(line[end])) {
			return at
		}
		from = end
	}
}

func wordChar(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c >= 0x80
}
