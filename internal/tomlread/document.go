// Package tomlread takes typed values out of a TOML file and collects everything that is wrong with it, with places and
// hints at what was meant, so that the user sees all mistakes at once.
package tomlread

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Position is a place in a file; both parts count from 1, columns in bytes.
type Position struct{ Line, Column int }

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// Start is the place of what is wrong with the file as a whole.
var Start = Position{1, 1}

// document is a parsed TOML file with the place of everything in it. Places are found by path: the keys and the indexes
// ("#0") on the way from the root, joined by NUL, which no key has in it.
type document struct {
	values map[string]any
	keys   map[string]Position // of keys, of the headers of tables, and of elements of arrays
	data   map[string]Position // of values
}

// pathRatio bounds the bytes of all paths, by the most that a file may have. Without it they grow with the square of
// the file: a long key before many elements, or keys nested thousands deep.
const pathRatio = 16

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "\x00" + key
}

func item(path string, i int) string { return join(path, element(i)) }

func element(i int) string { return "#" + strconv.Itoa(i) }

func parse(src []byte, limit int) (*document, Position, error) {
	if len(src) > limit {
		return nil, Start, fmt.Errorf("the file has more than the %d bytes allowed", limit)
	}
	doc := &document{keys: make(map[string]Position), data: make(map[string]Position)}
	l := locator{doc: doc, arrays: make(map[string]int), lines: []int{0}, room: pathRatio * limit}
	for i, b := range src {
		if b == '\n' {
			l.lines = append(l.lines, i+1)
		}
	}
	located := l.locate(src) // first: it bounds what Unmarshal has to nest
	if l.room < 0 {
		return nil, l.full, errors.New("keys are too long, or nested too deep")
	}
	err := toml.Unmarshal(src, &doc.values)
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return nil, Position{line, column}, errors.New(strings.TrimPrefix(decode.Error(), "toml: "))
	}
	if err != nil {
		return nil, Start, errors.New(strings.TrimPrefix(err.Error(), "toml: "))
	}
	return doc, Start, located
}

// locator walks the syntax tree for the places that Unmarshal does not tell.
type locator struct {
	doc    *document
	lines  []int          // offsets at which lines begin
	arrays map[string]int // path of an array of tables: elements so far
	prefix string         // path of the table that key-values belong to
	room   int            // bytes that paths may still take; below 0 nothing more is noted
	full   Position       // where that was
}

// join is join while there is room. Without room nothing more is looked at: hashing long paths takes its time, too.
func (l *locator) join(path, key string, at Position) string {
	if l.room < 0 {
		return path
	}
	path = join(path, key)
	if l.room -= len(path); l.room < 0 {
		l.full = at
	}
	return path
}

func (l *locator) at(r unstable.Range) Position {
	line := sort.SearchInts(l.lines, int(r.Offset)+1)
	return Position{line, int(r.Offset) - l.lines[line-1] + 1}
}

func (l *locator) locate(src []byte) error {
	var p unstable.Parser
	p.Reset(src)
	for l.room >= 0 && p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			l.keyValue(l.prefix, e)
		case unstable.Table, unstable.ArrayTable:
			l.header(e)
		}
	}
	return p.Error()
}

// header enters the table of [a.b] or [[a.b]].
func (l *locator) header(e *unstable.Node) {
	path := ""
	for it := e.Key(); it.Next(); {
		path = l.note(path, it.Node())
		last := it.IsLast()
		if n, ok := l.arrays[path]; ok && !last {
			path = l.join(path, element(n-1), l.at(it.Node().Raw))
		}
		if last && e.Kind == unstable.ArrayTable {
			n := l.arrays[path]
			l.arrays[path] = n + 1
			path = l.join(path, element(n), l.at(it.Node().Raw))
			l.doc.keys[path] = l.at(it.Node().Raw)
		}
	}
	l.prefix = path
}

// note remembers where a key was first seen and returns its path.
func (l *locator) note(path string, key *unstable.Node) string {
	at := l.at(key.Raw)
	path = l.join(path, string(key.Data), at)
	if l.room < 0 {
		return path
	}
	if _, ok := l.doc.keys[path]; !ok {
		l.doc.keys[path] = at
	}
	return path
}

func (l *locator) keyValue(path string, e *unstable.Node) {
	for it := e.Key(); it.Next(); {
		path = l.note(path, it.Node())
	}
	if l.room < 0 {
		return
	}
	l.value(path, l.doc.keys[path], e.Value())
}

// value notes the place of a value, or that of its key (arrays have none), and those of what is in it.
func (l *locator) value(path string, key Position, v *unstable.Node) {
	at := key
	if v.Raw.Length > 0 {
		at = l.at(v.Raw)
	}
	l.doc.data[path] = at
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue && l.room >= 0 {
				l.keyValue(path, it.Node())
			}
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			place := l.join(path, element(i), key)
			if l.room < 0 {
				return
			}
			l.value(place, key, it.Node())
			l.doc.keys[place] = l.doc.data[place]
			i++
		}
	}
}
