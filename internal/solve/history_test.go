package solve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithHistory(t *testing.T) {
	const a, b = "sha256:aaaa", "sha256:bbbb"
	const head = `{"config":{"X":1},`
	for _, c := range []struct {
		name, config, want string // want is "" for the same bytes
	}{
		{"whole", head + `"history": [{"created":"2020-01-01T00:00:00Z"},{"empty_layer":true}],"rootfs":{"diff_ids":["` + a + `"]}}`, ""},
		{"no layers", head + `"rootfs":{"diff_ids":[]}}`, ""},
		{"too many", head + `"history": [{},{}],"rootfs":{"diff_ids":["` + a + `"]}}`, ""},
		{"none", head + `"rootfs":{"diff_ids":["` + a + `","` + b + `"]}}`, head +
			`"history":[{"created":"1970-01-01T00:00:00Z","created_by":"layer sha256:aaaa of the base image"},` +
			`{"created":"1970-01-01T00:00:00Z","created_by":"layer sha256:bbbb of the base image"}],` +
			`"rootfs":{"diff_ids":["` + a + `","` + b + `"]}}`},
		{"the last", head + `"created":"2021-01-01T00:00:00Z","history": [{"empty_layer":true},{"created_by":"<x>"}],"rootfs":{"diff_ids":["` +
			a + `","` + b + `"]}}`, `{"config":{"X":1},"created":"2021-01-01T00:00:00Z","history":[{"empty_layer":true},` +
			`{"created":"2021-01-01T00:00:00Z","created_by":"\u003cx\u003e"},` +
			`{"created":"2021-01-01T00:00:00Z","created_by":"layer sha256:bbbb of the base image"}],` +
			`"rootfs":{"diff_ids":["` + a + `","` + b + `"]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := withHistory([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				c.want = c.config
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
