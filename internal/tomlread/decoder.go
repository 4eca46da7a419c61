package tomlread

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// MaxErrors is how many are reported at once.
const MaxErrors = 20

// Decoder takes the values out of a file, and collects what is wrong with them.
type Decoder struct {
	file   string
	doc    *document
	errs   []placed
	tables []*Table // all that were visited
}

type placed struct {
	Position
	msg string
}

// New reads a TOML file of at most limit bytes, which errors call file. An error is FILE:LINE:COLUMN: message.
func New(file string, src []byte, limit int) (*Decoder, error) {
	doc, at, err := parse(src, limit)
	if err != nil {
		return nil, fmt.Errorf("%s:%s: %w", file, at, err)
	}
	return &Decoder{file: file, doc: doc}, nil
}

// ReadFile reads a file for New with the same limit: of a larger file, as much as it takes to say so.
func ReadFile(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}

// Errorf notes an error at a place.
func (d *Decoder) Errorf(at Position, format string, args ...any) {
	d.errs = append(d.errs, placed{at, fmt.Sprintf(format, args...)})
}

// Errors is the number of errors so far.
func (d *Decoder) Errors() int { return len(d.errs) }

// Err joins the errors in the order of their places, a line each: FILE:LINE:COLUMN: message.
func (d *Decoder) Err() error {
	slices.SortStableFunc(d.errs, func(a, b placed) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	var all []error
	for i, e := range d.errs {
		if i == MaxErrors {
			all = append(all, fmt.Errorf("%s: and %d more errors", d.file, len(d.errs)-MaxErrors))
			break
		}
		all = append(all, fmt.Errorf("%s:%s: %s", d.file, e.Position, e.msg))
	}
	return errors.Join(all...)
}

// Table is one table of the document, or the empty one in place of a table that is left out.
type Table struct {
	name   string // for messages, such as network.expose[0]; "" for the top
	path   string
	at     Position
	values map[string]any
	known  []string // keys that were asked for
	free   bool     // the keys are the user's own
}

// Top is the table of the whole file.
func (d *Decoder) Top() *Table {
	t := &Table{at: Start, values: d.doc.values}
	d.tables = append(d.tables, t)
	return t
}

// Has tells whether the key is there, and remembers it as a known one.
func (t *Table) Has(key string) bool {
	if !slices.Contains(t.known, key) {
		t.known = append(t.known, key)
	}
	_, ok := t.values[key]
	return ok
}

// Field is the name of a key with those of the tables around it, for messages, as TOML writes dotted keys.
func (t *Table) Field(key string) string {
	const bare = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if key == "" || strings.Trim(key, bare) != "" {
		key = strconv.Quote(key)
	}
	if t.name == "" {
		return key
	}
	return t.name + "." + key
}

// in is how a message says where a key is.
func (t *Table) in() string {
	if t.name == "" {
		return "at the top level"
	}
	return "in [" + t.name + "]"
}

// At is where the table begins, or where it would be when it is left out.
func (t *Table) At() Position { return t.at }

// Name is what messages call the table; "" at the top.
func (t *Table) Name() string { return t.name }

// Present tells whether the file has the table.
func (t *Table) Present() bool { return t.values != nil }

// Value is the value of a key as it stands in the file, nil when it is absent.
func (t *Table) Value(key string) any { return t.values[key] }

// Keys makes the keys the user's own, none of them unknown, and lists them in the order of the alphabet.
func (t *Table) Keys() []string {
	t.free = true
	return slices.Sorted(maps.Keys(t.values))
}

// Key is the place of a key.
func (d *Decoder) Key(t *Table, key string) Position { return d.doc.keys[join(t.path, key)] }

// Data is the place of the value of a key, or that of the key for a table or an array.
func (d *Decoder) Data(t *Table, key string) Position {
	if at, ok := d.doc.data[join(t.path, key)]; ok {
		return at
	}
	return d.Key(t, key)
}

// Get returns the value of a key, and false when it is absent or has another type.
func Get[T any](d *Decoder, t *Table, key, want string) (v T, ok bool) {
	if !t.Has(key) {
		return v, false
	}
	if v, ok = t.values[key].(T); !ok {
		d.Errorf(d.Data(t, key), "%s must be %s, not %s", t.Field(key), want, typeName(t.values[key]))
	}
	return v, ok
}

// Text returns a string, "" when it is absent or wrong.
func (d *Decoder) Text(t *Table, key string) string {
	s, ok := Get[string](d, t, key, "a string")
	switch {
	case !ok:
		return ""
	case s == "":
		d.Errorf(d.Data(t, key), "%s must not be empty", t.Field(key))
	case strings.ContainsRune(s, 0):
		d.Errorf(d.Data(t, key), "%s must not have a NUL character", t.Field(key))
	}
	return s
}

// Checked returns a string that passes check, which says what is wrong with it.
func (d *Decoder) Checked(t *Table, key string, check func(string) error) string {
	s := d.Text(t, key)
	if s != "" {
		if err := check(s); err != nil {
			d.Errorf(d.Data(t, key), "%s = %q %v", t.Field(key), s, err)
		}
	}
	return s
}

// Choice returns one of the given strings, the first of which is the default.
func (d *Decoder) Choice(t *Table, key string, values ...string) string {
	s := d.Text(t, key)
	if s == "" {
		return values[0]
	}
	if !slices.Contains(values, s) {
		d.Errorf(d.Data(t, key), "%s = %q is not known%s", t.Field(key), s, Suggest(s, values))
	}
	return s
}

// Integer returns a number from low to high, or the default when it is absent.
func (d *Decoder) Integer(t *Table, key string, absent, low, high int64) int64 {
	n, ok := Get[int64](d, t, key, "an integer")
	if !ok {
		return absent
	}
	if n < low || n > high {
		d.Errorf(d.Data(t, key), "%s = %d is out of range: from %d to %d", t.Field(key), n, low, high)
	}
	return n
}

// Boolean returns true or false; false when it is absent.
func (d *Decoder) Boolean(t *Table, key string) bool {
	b, _ := Get[bool](d, t, key, "true or false")
	return b
}

// List returns an array of strings that pass check.
func (d *Decoder) List(t *Table, key string, check func(string) error) []string {
	want := "an array of strings"
	if s, ok := t.values[key].(string); ok {
		want += fmt.Sprintf(" such as [%q]", s)
	}
	items, _ := Get[[]any](d, t, key, want)
	var out []string
	for i, v := range items {
		at := d.doc.data[item(join(t.path, key), i)]
		s, ok := v.(string)
		name := fmt.Sprintf("%s[%d]", t.Field(key), i)
		if !ok {
			d.Errorf(at, "%s must be a string, not %s", name, typeName(v))
			continue
		}
		if err := check(s); err != nil {
			d.Errorf(at, "%s = %q %v", name, s, err)
		}
		out = append(out, s)
	}
	return out
}

// Sub returns the table of that name, an empty one when it is absent.
func (d *Decoder) Sub(t *Table, key string) *Table {
	values, ok := Get[map[string]any](d, t, key, "a table")
	s := &Table{name: t.Field(key), path: join(t.path, key), at: t.at, values: values}
	if ok {
		s.at = d.Key(t, key)
	}
	d.tables = append(d.tables, s)
	return s
}

// Subs returns an array of tables.
func (d *Decoder) Subs(t *Table, key string) []*Table {
	items, _ := Get[[]any](d, t, key, "an array of tables")
	var out []*Table
	for i, v := range items {
		path := item(join(t.path, key), i)
		name := fmt.Sprintf("%s[%d]", t.Field(key), i)
		values, ok := v.(map[string]any)
		if !ok {
			d.Errorf(d.doc.data[path], "%s must be a table, not %s", name, typeName(v))
			continue
		}
		s := &Table{name: name, path: path, at: d.doc.keys[path], values: values}
		d.tables = append(d.tables, s)
		out = append(out, s)
	}
	return out
}

// Texts returns a table of free keys, each with a string that, like its key, passes check.
func (d *Decoder) Texts(t *Table, key string, check func(key, value string) error) map[string]string {
	s := d.Sub(t, key)
	out := make(map[string]string, len(s.values))
	for _, k := range s.Keys() {
		v, ok := Get[string](d, s, k, "a string")
		if !ok {
			continue
		}
		if err := check(k, v); err != nil {
			d.Errorf(d.Key(s, k), "%s: %q %v", s.name, k, err)
		}
		out[k] = v
	}
	return out
}

// Missing reports that a key is needed and absent.
func (d *Decoder) Missing(t *Table, key, why string) {
	d.Errorf(t.at, "missing key %q %s%s", key, t.in(), why)
}

// Required reports the absence of a key.
func (d *Decoder) Required(t *Table, keys ...string) {
	for _, key := range keys {
		if !t.Has(key) {
			d.Missing(t, key, "")
		}
	}
}

// Unknown reports the keys that nobody asked for. It comes last, when all known keys of all tables are known.
func (d *Decoder) Unknown() {
	for _, t := range d.tables {
		for key := range t.values {
			if t.free || slices.Contains(t.known, key) {
				continue
			}
			d.Errorf(d.Key(t, key), "unknown key %q %s%s", key, t.in(), d.hint(t, key))
		}
	}
}

// Known lists the keys that were asked for, with those of the tables around them; not those that are the user's own.
func (d *Decoder) Known() []string {
	var all []string
	for _, t := range d.tables {
		for _, key := range t.known {
			if !t.free {
				all = append(all, t.Field(key))
			}
		}
	}
	return all
}

// hint finds the key that was meant: a similar one in the same table, the only one there that has it as one of its words,
// or the same one in another table.
func (d *Decoder) hint(t *Table, key string) string {
	near := Suggest(key, t.known)
	if strings.Contains(near, "did you mean") {
		return near
	}
	longer := slices.DeleteFunc(slices.Clone(t.known), func(k string) bool { return !slices.Contains(strings.Split(k, "_"), key) })
	if len(longer) == 1 {
		return fmt.Sprintf("; did you mean %q?", longer[0])
	}
	for _, o := range d.tables {
		if o != t && !o.free && slices.Contains(o.known, key) {
			return fmt.Sprintf("; did you mean %s?", o.Field(key))
		}
	}
	return near
}

// Suggest names the nearest of the values, or all of them when none is near.
func Suggest(s string, values []string) string {
	best, least := "", len(s)
	for _, v := range values {
		if n := editDistance(s, v); n < least || n == least && best != "" && v < best {
			best, least = v, n
		}
	}
	if best != "" && least <= max(1, max(len(s), len(best))/3) {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	switch len(values) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; known is %q", values[0])
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	slices.Sort(quoted)
	return "; known are " + strings.Join(quoted, ", ")
}

// editDistance is the number of bytes to insert, delete or replace to make b of a; swapped neighbours count once
// (optimal string alignment).
func editDistance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// typeName is the TOML type of a value.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	case time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return "a date or time"
	}
	return fmt.Sprintf("a %T", v)
}
