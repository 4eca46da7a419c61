package faults

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// TestSetupDownload goes on with what a killed set-up of bazelw has left of a download: nothing, half or all of it, of servers that can
// send the rest and of those that cannot.
func TestSetupDownload(t *testing.T) {
	data := []byte(imagetest.Noise(1, 100_000))
	served := filepath.Join(t.TempDir(), "served")
	if err := os.WriteFile(served, data, 0o644); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ranges", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, served) })
	mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) { w.Write(data) })
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, program := range []string{"curl", "wget"} {
		t.Run(program, func(t *testing.T) {
			path := onlyWith(t, program)
			for _, url := range []string{server.URL + "/ranges", server.URL + "/none"} {
				for _, left := range []int{0, 40_000, len(data)} {
					file := filepath.Join(t.TempDir(), "file")
					if left > 0 {
						writeFile(t, file+".part", string(data[:left]))
					}
					cmd := exec.Command("bash", "-euo", "pipefail", "-c", `. "$1"; fetch it "$2" "$3" "$4"`, "bash",
						filepath.Join(toolrun.Repository(), "tools/bootstrap/lib.sh"), url, file, digest(data))
					cmd.Env = append(os.Environ(), "PATH="+path, "no_proxy=127.0.0.1")
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%s, with %d bytes left of a killed run: %v\n%s", url, left, err, out)
						continue
					}
					if got, err := os.ReadFile(file); err != nil || digest(got) != digest(data) {
						t.Errorf("%s, with %d bytes left of a killed run: %d bytes, %v", url, left, len(got), err)
					}
				}
			}
		})
	}
}

// onlyWith is a PATH with one program that downloads.
func onlyWith(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{program, "bash", "sha256sum", "cut", "rm", "mv"} {
		at, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if err := os.Symlink(at, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
