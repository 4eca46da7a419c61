package imagediff

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
	"github.com/fledge-build/fledge/tools/fledge/internal/imagefile"
)

// imageDifferences compares what images say of themselves.
func imageDifferences(a, b *artifact.Info) []Difference {
	factsA, factsB := facts(a), facts(b)
	return differing(factsA, factsB)
}

// facts are what an image says of itself, by name. What follows from the entries is left out: counts, sizes of tables.
func facts(info *artifact.Info) map[string]string {
	f := map[string]string{"kind": info.Kind, "bytes": fmt.Sprint(info.Size)}
	if s := info.Squashfs; s != nil {
		f["version"] = s.Version
		f["compressor"] = s.Compressor
		f["options"] = strings.Join(s.Options, " ")
		f["block size"] = fmt.Sprint(s.BlockSize)
		f["created"] = time.Unix(int64(s.Created), 0).UTC().Format(time.RFC3339)
		f["flags"] = strings.Join(s.Flags, ", ")
		return f
	}
	used := map[string]bool{}
	for _, s := range info.Segments {
		used[s.Compressor] = true
	}
	f["compressor"] = strings.Join(slices.Sorted(maps.Keys(used)), ", ")
	f["segments"] = fmt.Sprint(len(info.Segments))
	return f
}

// manifestDifferences compares manifests by the paths of their values.
func manifestDifferences(a, b *imagefile.Manifest) ([]Difference, error) {
	valuesA, err := values(a)
	if err != nil {
		return nil, err
	}
	valuesB, err := values(b)
	if err != nil {
		return nil, err
	}
	return differing(valuesA, valuesB), nil
}

// differing lists what differs of two maps, by name.
func differing(a, b map[string]string) []Difference {
	all := maps.Clone(a)
	maps.Copy(all, b)
	list := []Difference{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a[name] != b[name] {
			list = append(list, Difference{name, a[name], b[name]})
		}
	}
	return list
}

// values are the values of a manifest as JSON, by their path: workload.entrypoint[0].
func values(m *imagefile.Manifest) (map[string]string, error) {
	out := map[string]string{}
	if m == nil {
		return out, nil
	}
	b, err := m.JSON()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	flatten(out, "", tree)
	return out, nil
}

func flatten(out map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(out, strings.TrimPrefix(path+"."+key, "."), value)
		}
	case []any:
		for i, value := range v {
			flatten(out, fmt.Sprintf("%s[%d]", path, i), value)
		}
	default:
		b, err := json.Marshal(v)
		if err != nil {
			b = fmt.Append(nil, v)
		}
		out[path] = string(b)
	}
}
