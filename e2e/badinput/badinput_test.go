// Package badinput holds tests that give the packer, run as a user runs it, inputs that are broken or hostile.
package badinput

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
)

func TestMain(m *testing.M) { harness.Main(m) }

// maxMemory bounds what any of these runs may use, as it does for good input.
const maxMemory = 300 << 20

// maxMessage bounds what a reader is asked to look at, with hostile names in it.
const maxMessage = 3000

// job is one run of the packer: it makes its inputs in the folder dir and returns the arguments. Outputs go below out.
type job func(t *testing.T, dir, out string) []string

// badInput is an input and what its error must say: which input, where in it, and what would be right.
type badInput struct {
	name string
	job  job
	says []string
}

func run(t *testing.T, tests []badInput) {
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := os.Mkdir(out, 0o755); err != nil {
				t.Fatal(err)
			}
			args := tc.job(t, t.TempDir(), out)
			result := harness.Packer(t, args...)
			t.Logf("%.3000s\n(%d MB, %v)", result.Output, result.MaxRSS>>20, result.Wall)
			checkFailure(t, result, tc.says)
			left, err := filepath.Glob(filepath.Join(out, "*"))
			if err != nil {
				t.Fatal(err)
			}
			hidden, err := filepath.Glob(filepath.Join(out, ".*"))
			if err != nil {
				t.Fatal(err)
			}
			if left = append(left, hidden...); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func checkFailure(t *testing.T, result toolrun.Result, says []string) {
	t.Helper()
	if result.Code != 1 {
		t.Errorf("exit code %d, want 1", result.Code)
	}
	message, rest, _ := strings.Cut(result.Output, "\n")
	if !strings.HasPrefix(message, "packer: ") || rest != "" {
		t.Errorf("not one line that begins with the tool's name:\n%.3000s", result.Output)
	}
	if len(message) > maxMessage {
		t.Errorf("a message of %d bytes", len(message))
	}
	if strings.Contains(result.Output, "goroutine ") {
		t.Error("it crashed")
	}
	for _, text := range says {
		if !strings.Contains(message, text) {
			t.Errorf("the error does not say %q", text)
		}
	}
	if result.MaxRSS > maxMemory {
		t.Errorf("peak memory %d MB, want at most %d", result.MaxRSS>>20, maxMemory>>20)
	}
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// packData is the job to pack a layer of these bytes.
func packData(data func(t *testing.T) []byte, flags ...string) job {
	return func(t *testing.T, dir, out string) []string {
		layer := write(t, filepath.Join(dir, "layer.blob"), data(t))
		args := []string{"pack", "--layer", layer, "--level", "1", "--out", filepath.Join(out, "layer.pack")}
		return append(args, flags...)
	}
}

// linkLayers is the job to link these layers, which pack without an error.
func linkLayers(stack ...[]byte) job {
	return func(t *testing.T, dir, out string) []string {
		args := []string{"rootfs", "--level", "1", "--out", filepath.Join(out, "a.img"), "--digest-out", filepath.Join(out, "a.sha256")}
		for i, data := range stack {
			layer := write(t, filepath.Join(dir, fmt.Sprintf("layer%d.tar", i)), data)
			pack := filepath.Join(dir, fmt.Sprintf("layer%d.pack", i))
			harness.MustPacker(t, "pack", "--level", "1", "--layer", layer, "--out", pack)
			args = append(args, "--pack", pack)
		}
		return args
	}
}
