package tomlread

import (
	"runtime"
	"strings"
	"testing"
)

// TestPaths: the places of what stands behind a long key, or nested deep, do not take the square of the file's size.
func TestPaths(t *testing.T) {
	const limit = 1 << 20
	half := strings.Repeat("a", limit/2)
	for name, src := range map[string]string{
		"dotted key":      strings.Repeat("a.", limit/2-2) + "a=1",
		"header":          "[" + strings.Repeat("a.", limit/2-2) + "a]",
		"array of tables": strings.Repeat("[[a]]\n["+strings.Repeat("a.", 1000)+"a]\n", 400),
		"long key":        half + "=[" + strings.Repeat("1,", limit/4-2) + "]",
		"nested arrays":   "a=" + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"nested tables":   "a=" + strings.Repeat("{a=", 9_000) + "1" + strings.Repeat("}", 9_000),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := New("f.toml", []byte(src), limit)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "keys are too long, or nested too deep") {
			t.Errorf("%s: %v", name, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 256*limit {
			t.Errorf("%s: %d MiB allocated for %d KiB", name, got>>20, len(src)>>10)
		}
	}
}
