package recipe

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fledge-build/fledge/internal/fuzztest"
	"github.com/fledge-build/fledge/internal/tomlread"
)

const schemaFile = "../../docs/fledge.schema.json"

func publishedSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// document gives a TOML file as the JSON that a schema looks at; false when it is no TOML.
func document(t testing.TB, src string) (any, bool) {
	t.Helper()
	var v map[string]any
	if err := toml.Unmarshal([]byte(src), &v); err != nil {
		return nil, false
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return doc, true
}

// TestSchema compares the published schema with the parser: it passes what is right, and refuses what is wrong where the
// case says so.
func TestSchema(t *testing.T) {
	schema := publishedSchema(t)
	for _, tt := range good {
		doc, ok := document(t, tt.src)
		if !ok {
			t.Fatalf("%s: no TOML", tt.name)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, tt := range allWrong() {
		doc, ok := document(t, tt.src)
		if refused := ok && schema.Validate(doc) != nil; refused != tt.schema {
			t.Errorf("%s: the schema refuses it: %v, want %v", tt.name, refused, tt.schema)
		}
	}
}

// every has each key of fledge.toml. It is wrong, for some of them exclude each other.
const every = `
version = "1"
strategy = "initramfs"
[agent]
[source]
build_args = {}
[filesystem]
[init]
[kernel]
[mappings]
`

// read lists the keys that the parser knows.
func read(t *testing.T) []string {
	t.Helper()
	d, err := tomlread.New("fledge.toml", []byte(every), MaxSize)
	if err != nil {
		t.Fatal(err)
	}
	(&decoder{d}).read()
	keys := d.Known()
	slices.Sort(keys)
	return keys
}

// node is what a key looks like in a schema.
type node struct {
	Ref         string          `json:"$ref"`
	Description string          `json:"description"`
	Properties  map[string]node `json:"properties"`
	Definitions map[string]node `json:"definitions"`
}

// TestSchemaKeys compares the keys of the schema with those that are read, and wants each of them described.
func TestSchemaKeys(t *testing.T) {
	raw, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var top node
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var walk func(prefix string, n node)
	walk = func(prefix string, n node) {
		for key, value := range n.Properties {
			if name, ok := strings.CutPrefix(value.Ref, "#/definitions/"); ok {
				value = top.Definitions[name]
			}
			if value.Description == "" {
				t.Errorf("%s%s has no description", prefix, key)
			}
			keys = append(keys, prefix+key)
			walk(prefix+key+".", value)
		}
	}
	walk("", top)
	slices.Sort(keys)
	if want := read(t); !slices.Equal(keys, want) {
		t.Errorf("the schema has\n%s\nread are\n%s", strings.Join(keys, "\n"), strings.Join(want, "\n"))
	}
}

func reference(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/fledge-toml.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// examples are the blocks of the reference.
func examples(t testing.TB) []string {
	var all []string
	for _, block := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(reference(t), -1) {
		all = append(all, block[1])
	}
	return all
}

// TestReference compares the keys that are read with those in the tables of docs/fledge-toml.md.
func TestReference(t *testing.T) {
	var documented []string
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| (?:string|integer|boolean|array of|table)")
	for _, row := range rows.FindAllStringSubmatch(reference(t), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	tables := []string{"agent", "source", "filesystem", "init", "kernel"} // have headings, no rows
	want := slices.DeleteFunc(read(t), func(key string) bool { return slices.Contains(tables, key) })
	if !slices.Equal(documented, want) {
		t.Errorf("documented are\n%s\nread are\n%s", strings.Join(documented, "\n"), strings.Join(want, "\n"))
	}
}

// TestExamples reads the examples of docs/fledge-toml.md.
func TestExamples(t *testing.T) {
	schema := publishedSchema(t)
	all := examples(t)
	if len(all) < 10 {
		t.Errorf("the reference has %d examples", len(all))
	}
	for _, src := range all {
		if _, err := Parse("fledge-toml.md", []byte(src)); err != nil {
			t.Errorf("%s\n%v", src, err)
		}
		doc, _ := document(t, src)
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s\n%v", src, err)
		}
	}
}

// FuzzParse feeds the reader: what it accepts is valid by the schema, and errors have places.
func FuzzParse(f *testing.F) {
	for _, src := range examples(f) {
		f.Add([]byte(src))
	}
	for _, tt := range allWrong() {
		if len(tt.src) < MaxSize {
			f.Add([]byte(tt.src))
		}
	}
	schema := publishedSchema(f)
	place := regexp.MustCompile(`^fledge\.toml:([1-9]\d*:[1-9]\d*: .|( and \d+ more errors$))`)
	f.Fuzz(func(t *testing.T, src []byte) {
		var err error
		fuzztest.Limit(t, 64<<20+500*len(src), func() { _, err = Parse("fledge.toml", src) })
		if err == nil {
			if doc, ok := document(t, string(src)); !ok || schema.Validate(doc) != nil {
				t.Errorf("%s\nis not valid by the schema: %v", src, schema.Validate(doc))
			}
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !place.MatchString(line) {
				t.Errorf("an error without a place: %s", line)
			}
		}
	})
}
