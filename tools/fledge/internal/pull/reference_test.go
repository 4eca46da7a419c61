package pull

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParseReference(t *testing.T) {
	zero := "sha256:" + strings.Repeat("0", 64)
	for _, tt := range []struct{ in, want string }{
		{"nginx", "docker://docker.io/library/nginx:latest"},
		{"nginx:alpine", "docker://docker.io/library/nginx:alpine"},
		{"docker://nginx:alpine", "docker://docker.io/library/nginx:alpine"},
		{"docker://docker.io/library/nginx:alpine", "docker://docker.io/library/nginx:alpine"},
		{"index.docker.io/nginx", "docker://docker.io/library/nginx:latest"},
		{"team/app", "docker://docker.io/team/app:latest"},
		{"ghcr.io/team/app:1", "docker://ghcr.io/team/app:1"},
		{"localhost/app", "docker://localhost/app:latest"},
		{"localhost:5000/app:1", "docker://localhost:5000/app:1"},
		{"[::1]:5000/app:1", "docker://[::1]:5000/app:1"},
		{"app@" + zero, "docker://docker.io/library/app@" + zero},
		{"ghcr.io/app:1@" + zero, "docker://ghcr.io/app:1@" + zero},
		{"docker-daemon:app", "docker-daemon:app:latest"},
		{"docker-daemon:docker.io/library/app:1", "docker-daemon:app:1"},
		{"docker-daemon:localhost/app:1", "docker-daemon:localhost/app:1"},
		{"docker-daemon:" + zero, "docker-daemon:" + zero},
		{"oci:base", "oci:base"},
		{"oci:./base/:v1", "oci:base:v1"},
		{"oci:../base:team/app:v1", "oci:../base:team/app:v1"},
		{"oci-archive:/images/base.tar", "oci-archive:/images/base.tar"},
		{"docker-archive:base.tar:app:1", "docker-archive:base.tar:app:1"},
	} {
		r, err := ParseReference(tt.in, "recipes")
		if err != nil || r.String() != tt.want {
			t.Errorf("%s: %s, %v", tt.in, r, err)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"", "expected [HOST/]REPOSITORY[:TAG]"},
		{"Nginx", "must be lowercase"},
		{"nginx:", "expected [HOST/]REPOSITORY[:TAG]"},
		{"a b", "expected [HOST/]REPOSITORY[:TAG]"},
		{"a\nb", "no control characters"},
		{"https://example.com/app", `unknown transport "https"; known are docker://IMAGE`},
		{"containers-storage:app", `unknown transport "containers-storage"`},
		{"dir:/tmp/image", `unknown transport "dir"`},
		{"docker:nginx", `unknown transport "docker"; known are docker://IMAGE`},
		{"oci:", "no path after oci:"},
		{"oci-archive::v1", "no path after oci-archive:"},
		{"docker-daemon:sha256:123", "an image's ID is sha256: and 64"},
		{"docker-daemon:docker.io/library/sha256:1", "an image called sha256 looks like an ID"},
		{"app@sha256:123", "expected [HOST/]REPOSITORY[:TAG]"},
		{"app@sha512:" + strings.Repeat("0", 128), "the part after @ must be sha256:"},
	} {
		r, err := ParseReference(tt.in, "")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %s, error %v, want %q", tt.in, r, err, tt.want)
		}
	}
	if r, err := ParseReference("oci:a/../base", "recipes"); err != nil || r.Path != filepath.Join("recipes", "base") {
		t.Errorf("path %q, %v", r.Path, err)
	}
}

// FuzzParseReference: what String gives is read as the same.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"nginx:alpine",
		"docker://[::1]:5000/a/b:1", "docker-daemon:app@sha256:" + strings.Repeat("0", 64),
		"docker-daemon:sha256:" + strings.Repeat("0", 64), "oci:./a/:b:c", "oci-archive:/x.tar", "docker-archive:x:app:1", "docker-daemon:sha256",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s, "dir")
		if err != nil {
			return
		}
		again, err := ParseReference(r.String(), "dir")
		if err != nil || again.String() != r.String() || again.Path != r.Path || again.Tag != r.Tag {
			t.Errorf("%q is %q, which is read as %q: %v", s, r, again, err)
		}
	})
}
