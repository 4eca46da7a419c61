// Package dist builds the fledge command that people download, and looks at what is in it.
package dist

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

func bazel(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("./bazelw", args...)
	cmd.Dir = toolrun.Repository()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bazelw %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// built builds a target and gives the digest of its one file, and its path.
func built(t *testing.T, target string, flags ...string) (digest, file string) {
	t.Helper()
	bazel(t, append([]string{"build", target}, flags...)...)
	out := bazel(t, append([]string{"cquery", "--output=files", target}, flags...)...)
	file = filepath.Join(toolrun.Repository(), strings.TrimSpace(out))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b)), file
}

// The command has the programs that the rules use, to the byte, and says what it is built of.
func TestDist(t *testing.T) {
	harness.NeedSlow(t, "builds BuildKit for two architectures")
	digest, fledge := built(t, "//tools/fledge:dist")
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
	if got.Digest != digest {
		t.Errorf("it says that it is %s, and it is %s", got.Digest, digest)
	}
	payload := map[string]string{}
	for _, p := range got.Payload {
		payload[p.Name] = p.Digest
	}
	if len(payload) != 4 {
		t.Errorf("payload %v", payload)
	}
	for program, target := range map[string]string{"init": "//tools/bin:init", "guest": "//tools/guest"} {
		for _, arch := range []string{"amd64", "arm64"} {
			want, _ := built(t, target, "--platforms=//fledge/platforms:linux_"+arch)
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
