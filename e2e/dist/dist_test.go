// Package dist builds the fledge command that people download, and looks at what is in it.
package dist

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
)

// digest is that of a file.
func digest(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// The command has the programs that the rules use, to the byte, and says what it is built of.
func TestDist(t *testing.T) {
	harness.NeedSlow(t, "builds BuildKit for two architectures")
	fledge := harness.Built(t, "//tools/fledge:dist")
	out, err := exec.Command(fledge, "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Digest  string
		Payload []struct{ Name, Digest string }
		Modules []struct{ Path, Version, Sum string }
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if want := digest(t, fledge); got.Digest != want {
		t.Errorf("it says that it is %s, and it is %s", got.Digest, want)
	}
	payload := map[string]string{}
	for _, p := range got.Payload {
		payload[p.Name] = p.Digest
	}
	if len(payload) != 6 {
		t.Errorf("payload %v", payload)
	}
	for program, target := range map[string]string{"init": "//tools/bin:init", "guest": "//tools/guest", "fill": "//tools/bin:fill"} {
		for _, arch := range []string{"amd64", "arm64"} {
			want := digest(t, harness.Built(t, target, "--platforms=//fledge/platforms:linux_"+arch))
			if name := program + "-" + arch; payload[name] != want {
				t.Errorf("%s is %s, and that of the rules %s", name, payload[name], want)
			}
		}
	}
	if len(got.Modules) < 10 {
		t.Errorf("%d modules", len(got.Modules))
	}
	for _, m := range got.Modules {
		if !strings.HasPrefix(m.Sum, "h1:") || m.Version == "" {
			t.Errorf("module %+v", m)
		}
	}
}
