package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

const maxErrors = 20 // reported at once

// decoder takes the fields out of a document and collects what is wrong with them, so that the user sees all at once.
type decoder struct {
	file       string
	configFile string
	doc        *document
	httpOnly   bool // every workload must have a base_url
	errs       []placed
	image      []error  // in the image's configuration
	tables     []*table // all that were visited
}

type placed struct {
	position
	msg string
}

func (d *decoder) errorf(at position, format string, args ...any) {
	d.errs = append(d.errs, placed{at, fmt.Sprintf(format, args...)})
}

// imageError notes an error in the image's configuration, with what the user can do.
func (d *decoder) imageError(err error, remedy string) {
	if err != nil {
		d.image = append(d.image, fmt.Errorf("%s: %w; %s", d.configFile, err, remedy))
	}
}

// err joins the errors in the order of their places.
func (d *decoder) err() error {
	slices.SortStableFunc(d.errs, func(a, b placed) int {
		if a.line != b.line {
			return a.line - b.line
		}
		return a.column - b.column
	})
	var all []error
	for i, e := range d.errs {
		if i == maxErrors {
			all = append(all, fmt.Errorf("%s: and %d more errors", d.file, len(d.errs)-maxErrors))
			break
		}
		all = append(all, fmt.Errorf("%s:%s: %s", d.file, e.position, e.msg))
	}
	return errors.Join(append(all, d.image...)...)
}

// table is one table of the document, or the empty one in place of a table that is left out.
type table struct {
	name   string // for messages, such as network.expose[0]; "" for the top
	path   string
	at     position
	values map[string]any
	known  []string // keys that were asked for
	free   bool     // the keys are the user's own
}

func (d *decoder) top() *table {
	t := &table{at: start, values: d.doc.values}
	d.tables = append(d.tables, t)
	return t
}

// has tells whether the key is there, and remembers it as a known one.
func (t *table) has(key string) bool {
	if !slices.Contains(t.known, key) {
		t.known = append(t.known, key)
	}
	_, ok := t.values[key]
	return ok
}

func (t *table) field(key string) string {
	if t.name == "" {
		return key
	}
	return t.name + "." + key
}

// in is how a message says where a key is.
func (t *table) in() string {
	if t.name == "" {
		return "at the top level"
	}
	return "in [" + t.name + "]"
}

// key is the place of a key, data that of its value (of the key, for a table or an array).
func (d *decoder) key(t *table, key string) position { return d.doc.keys[join(t.path, key)] }

func (d *decoder) data(t *table, key string) position {
	if at, ok := d.doc.data[join(t.path, key)]; ok {
		return at
	}
	return d.key(t, key)
}

// get returns the value of a key, and false when it is absent or has another type.
func get[T any](d *decoder, t *table, key, want string) (v T, ok bool) {
	if !t.has(key) {
		return v, false
	}
	if v, ok = t.values[key].(T); !ok {
		d.errorf(d.data(t, key), "%s must be %s, not %s", t.field(key), want, typeName(t.values[key]))
	}
	return v, ok
}

// text returns a string, "" when it is absent or wrong.
func (d *decoder) text(t *table, key string) string {
	s, ok := get[string](d, t, key, "a string")
	switch {
	case !ok:
		return ""
	case s == "":
		d.errorf(d.data(t, key), "%s must not be empty", t.field(key))
	case strings.ContainsRune(s, 0):
		d.errorf(d.data(t, key), "%s must not have a NUL character", t.field(key))
	}
	return s
}

// checked returns a string that passes check, which says what is wrong with it.
func (d *decoder) checked(t *table, key string, check func(string) error) string {
	s := d.text(t, key)
	if s != "" {
		if err := check(s); err != nil {
			d.errorf(d.data(t, key), "%s = %q %v", t.field(key), s, err)
		}
	}
	return s
}

// choice returns one of the given strings, the first of which is the default.
func (d *decoder) choice(t *table, key string, values ...string) string {
	s := d.text(t, key)
	if s == "" {
		return values[0]
	}
	if !slices.Contains(values, s) {
		d.errorf(d.data(t, key), "%s = %q is not known%s", t.field(key), s, suggest(s, values))
	}
	return s
}

// integer returns a number from low to high, or the default when it is absent.
func (d *decoder) integer(t *table, key string, absent, low, high int64) int64 {
	n, ok := get[int64](d, t, key, "an integer")
	if !ok {
		return absent
	}
	if n < low || n > high {
		d.errorf(d.data(t, key), "%s = %d is out of range: from %d to %d", t.field(key), n, low, high)
	}
	return n
}

func (d *decoder) boolean(t *table, key string) bool {
	b, _ := get[bool](d, t, key, "true or false")
	return b
}

// list returns an array of strings that pass check.
func (d *decoder) list(t *table, key string, check func(string) error) []string {
	want := "an array of strings"
	if s, ok := t.values[key].(string); ok {
		want += fmt.Sprintf(" such as [%q]", s)
	}
	items, _ := get[[]any](d, t, key, want)
	var out []string
	for i, v := range items {
		at := d.doc.data[item(join(t.path, key), i)]
		s, ok := v.(string)
		name := fmt.Sprintf("%s[%d]", t.field(key), i)
		if !ok {
			d.errorf(at, "%s must be a string, not %s", name, typeName(v))
			continue
		}
		if err := check(s); err != nil {
			d.errorf(at, "%s = %q %v", name, s, err)
		}
		out = append(out, s)
	}
	return out
}

// sub returns the table of that name, an empty one when it is absent.
func (d *decoder) sub(t *table, key string) *table {
	values, ok := get[map[string]any](d, t, key, "a table")
	s := &table{name: t.field(key), path: join(t.path, key), at: t.at, values: values}
	if ok {
		s.at = d.key(t, key)
	}
	d.tables = append(d.tables, s)
	return s
}

// subs returns an array of tables.
func (d *decoder) subs(t *table, key string) []*table {
	items, _ := get[[]any](d, t, key, "an array of tables")
	var out []*table
	for i, v := range items {
		path := item(join(t.path, key), i)
		name := fmt.Sprintf("%s[%d]", t.field(key), i)
		values, ok := v.(map[string]any)
		if !ok {
			d.errorf(d.doc.data[path], "%s must be a table, not %s", name, typeName(v))
			continue
		}
		s := &table{name: name, path: path, at: d.doc.keys[path], values: values}
		d.tables = append(d.tables, s)
		out = append(out, s)
	}
	return out
}

// texts returns a table of free keys, each with a string that, like its key, passes check.
func (d *decoder) texts(t *table, key string, check func(key, value string) error) map[string]string {
	s := d.sub(t, key)
	s.free = true
	out := make(map[string]string, len(s.values))
	for _, k := range slices.Sorted(maps.Keys(s.values)) {
		v, ok := get[string](d, s, k, "a string")
		if !ok {
			continue
		}
		if err := check(k, v); err != nil {
			d.errorf(d.key(s, k), "%s: %q %v", s.name, k, err)
		}
		out[k] = v
	}
	return out
}

// missing reports that a key is needed and absent.
func (d *decoder) missing(t *table, key, why string) {
	d.errorf(t.at, "missing key %q %s%s", key, t.in(), why)
}

// required reports the absence of a key.
func (d *decoder) required(t *table, keys ...string) {
	for _, key := range keys {
		if !t.has(key) {
			d.missing(t, key, "")
		}
	}
}

// unknown reports the keys that nobody asked for. It comes last, when all known keys of all tables are known.
func (d *decoder) unknown() {
	for _, t := range d.tables {
		for key := range t.values {
			if slices.Contains(t.known, key) {
				continue
			}
			d.errorf(d.key(t, key), "unknown key %q %s%s", key, t.in(), d.hint(t, key))
		}
	}
}

// hint finds the key that was meant: a similar one in the same table, or the same one in another table.
func (d *decoder) hint(t *table, key string) string {
	near := suggest(key, t.known)
	if strings.Contains(near, "did you mean") {
		return near
	}
	for _, o := range d.tables {
		if o != t && !o.free && slices.Contains(o.known, key) {
			return fmt.Sprintf("; did you mean %s?", o.field(key))
		}
	}
	return near
}

// suggest names the nearest of the values, or all of them when none is near.
func suggest(s string, values []string) string {
	best, least := "", len(s)
	for _, v := range values {
		if n := editDistance(s, v); n < least || n == least && best != "" && v < best {
			best, least = v, n
		}
	}
	if best != "" && least <= max(1, max(len(s), len(best))/3) {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	if len(values) == 0 {
		return ""
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
