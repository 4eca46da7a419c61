package imagediff

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
	"github.com/fledge-build/fledge/tools/fledge/internal/inspect"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// JSONVersion is the version of the form of JSON; keys may be added without a new one.
const JSONVersion = 1

// Options say what is compared.
type Options struct {
	Ignore []string // of Attributes
	JSON   bool     // write JSON, else text
}

// reporter writes what differs.
type reporter interface {
	head(a, b *imagefile.Image, image, manifest []Difference) error
	change(c *Change) error
	end(sum Sum, differ bool) error
}

// Diff writes what differs between two images, and tells whether anything does.
func Diff(w io.Writer, a, b *imagefile.Image, o Options) (differ bool, err error) {
	c := &comparer{a: newSide(a), b: newSide(b), ignore: map[string]bool{}}
	for _, name := range o.Ignore {
		c.ignore[name] = true
	}
	out := bufio.NewWriterSize(w, 1<<16)
	var r reporter = &textReport{out}
	if o.JSON {
		r = &jsonReport{w: out}
	}
	if differ, err = c.diff(r); err != nil {
		return false, err
	}
	return differ, out.Flush()
}

func newSide(im *imagefile.Image) side { return side{im, map[uint64]string{}} }

func (c *comparer) diff(r reporter) (differ bool, err error) {
	infoA, infoB := c.a.im.Info(), c.b.im.Info()
	image, manifest := []Difference{}, []Difference{}
	if !c.ignore["image"] {
		image = imageDifferences(infoA, infoB)
	}
	if !c.ignore["manifest"] {
		if manifest, err = manifestDifferences(c.a.im.Manifest, c.b.im.Manifest); err != nil {
			return false, err
		}
	}
	c.sum.StoredA, c.sum.StoredB = infoA.Size, infoB.Size
	if err := r.head(c.a.im, c.b.im, image, manifest); err != nil {
		return false, err
	}
	differ = len(image)+len(manifest) > 0
	for pair, err := range c.entries() {
		if err != nil {
			return false, err
		}
		change, err := c.change(pair[0], pair[1])
		if err != nil {
			return false, err
		}
		if change == nil {
			continue
		}
		differ = true
		if err := r.change(change); err != nil {
			return false, err
		}
	}
	return differ, r.end(c.sum, differ)
}

type textReport struct{ w *bufio.Writer }

func (t *textReport) head(a, b *imagefile.Image, image, manifest []Difference) error {
	if len(image) > 0 {
		fmt.Fprintf(t.w, "image\n%s", lines(image))
	}
	if len(manifest) > 0 {
		fmt.Fprintf(t.w, "manifest\n%s", lines(manifest))
	}
	return nil
}

// lines has a line for each difference.
func lines(list []Difference) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "    %s: %s -> %s\n", inspect.Printable(d.Name), value(d.A), value(d.B))
	}
	return b.String()
}

// value is a value for people.
func value(v string) string {
	const most = 80
	if v == "" {
		return "none"
	}
	if len(v) > most {
		v = v[:most] + "..."
	}
	return inspect.Printable(v)
}

func (t *textReport) change(c *Change) error {
	sign := map[string]string{Added: "+", Removed: "-", Changed: "~"}[c.Kind]
	e := c.B
	if e == nil {
		e = c.A
	}
	what := e.TypeName()
	if e.Type == fstree.Regular {
		what = fmt.Sprintf("%d bytes", e.Size)
		if c.Kind == Changed && c.A.Type == e.Type && c.A.Size != e.Size {
			what += fmt.Sprintf(", %+d", e.Size-c.A.Size)
		}
	}
	_, err := fmt.Fprintf(t.w, "%s %s (%s)\n%s", sign, inspect.Printable(c.Path()), what, lines(c.Differences))
	return err
}

func (t *textReport) end(s Sum, differ bool) error {
	if !differ {
		return nil
	}
	_, err := fmt.Fprintf(t.w, "%d added (%s), %d removed (%s), %d changed (%s); contents %s -> %s, images %s -> %s\n",
		s.Added, ui.Size(s.AddedSize), s.Removed, ui.Size(s.RemovedSize), s.Changed, signed(s.ChangedDelta),
		ui.Size(s.SizeA), ui.Size(s.SizeB), ui.Size(s.StoredA), ui.Size(s.StoredB))
	return err
}

// signed is a size with its sign.
func signed(n int64) string {
	if n < 0 {
		return "-" + ui.Size(-n)
	}
	return "+" + ui.Size(n)
}

// jsonReport writes one object, a change a line.
type jsonReport struct {
	w       *bufio.Writer
	changes bool // there was one
}

type jsonImage struct {
	Image string `json:"image"` // name of the file
	*artifact.Info
}

type jsonChange struct {
	Kind        string       `json:"kind"`
	Path        string       `json:"path"`
	PathBytes   []byte       `json:"path_base64,omitempty"` // when the path is not UTF-8
	Type        string       `json:"type"`
	SizeA       int64        `json:"size_a"`
	SizeB       int64        `json:"size_b"`
	StoredA     int64        `json:"stored_a"`
	StoredB     int64        `json:"stored_b"`
	Differences []Difference `json:"differences"`
}

func (j *jsonReport) head(a, b *imagefile.Image, image, manifest []Difference) error {
	head, err := json.Marshal(struct {
		Version  int          `json:"version"`
		A        jsonImage    `json:"a"`
		B        jsonImage    `json:"b"`
		Image    []Difference `json:"image"`
		Manifest []Difference `json:"manifest"`
	}{JSONVersion, jsonImage{a.Name, a.Info()}, jsonImage{b.Name, b.Info()}, image, manifest})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "%s,\"changes\":[", head[:len(head)-1])
	return err
}

func (j *jsonReport) change(c *Change) error {
	line := jsonChange{Kind: c.Kind, Differences: []Difference{}}
	for _, d := range c.Differences {
		line.Differences = append(line.Differences, Difference{escaped(d.Name), escaped(d.A), escaped(d.B)})
	}
	line.Path, line.PathBytes = inspect.JSONText(c.Path())
	if c.A != nil {
		line.Type, line.SizeA, line.StoredA = c.A.TypeName(), c.A.Size, c.A.Stored
	}
	if c.B != nil {
		line.Type, line.SizeB, line.StoredB = c.B.TypeName(), c.B.Size, c.B.Stored
	}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	separator := "\n"
	if j.changes {
		separator = ",\n"
	}
	j.changes = true
	_, err = fmt.Fprintf(j.w, "%s%s", separator, b)
	return err
}

// escaped is a value as JSON can hold it: with octal escapes when it is not UTF-8.
func escaped(v string) string {
	if utf8.ValidString(v) {
		return v
	}
	return inspect.Printable(v)
}

func (j *jsonReport) end(s Sum, differ bool) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(j.w, "\n],\"differ\":%t,\"summary\":%s}\n", differ, b)
	return err
}
