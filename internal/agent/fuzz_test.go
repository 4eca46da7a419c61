package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

func FuzzDecodeRelease(f *testing.F) {
	golden, err := os.ReadFile("testdata/release.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"tag_name":"v1","assets":[{"name":"k","digest":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r *Release
		var err error
		fuzztest.Limit(t, 4<<20+100*len(data), func() { r, err = DecodeRelease(data) })
		if err != nil {
			return
		}
		if CheckTag(r.Tag) != nil {
			t.Errorf("took the tag %q", r.Tag)
		}
		for _, a := range r.Assets {
			repositoryOf(r.Tag, &a)
			if a.Size < 0 || (a.SHA256 != "" && !isSHA256(a.SHA256)) || strings.ContainsAny(a.Name, "/\\\"\n") {
				t.Errorf("took %+v", a)
			}
		}
	})
}

func FuzzFindChecksum(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 64) + "  kestrel\n"))
	f.Add([]byte(strings.Repeat("a", 64)))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzztest.Limit(t, 4<<20+10*len(data), func() {
			if sum, err := findChecksum(data, "kestrel"); err == nil && !isSHA256(sum) {
				t.Errorf("found %q", sum)
			}
		})
	})
}
