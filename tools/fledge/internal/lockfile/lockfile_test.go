package lockfile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/fuzztest"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	sumA = strings.Repeat("0a", 32)
	sumB = strings.Repeat("1b", 32)
	sumC = strings.Repeat("2c", 32)
)

const release = "release https://github.com/volantvm/volant latest"

// full has pins of every kind, in another order than the file's.
func full() *Lock {
	l := &Lock{}
	l.SetBusybox("https://example.com/busybox", sumA)
	l.SetImage("oci:build/a \"b\" <c> ü", "sha256:"+sumC)
	l.SetImage("docker://docker.io/library/nginx:alpine", "sha256:"+sumB)
	l.SetImage("docker-daemon:app:1", "sha256:"+sumA)
	l.SetAgent(release, "v0.7.3", "arm64", sumB)
	l.SetAgent(release, "v0.7.3", "amd64", sumA)
	l.SetAgent("https://example.com/kestrel-{arch}", "", "amd64", sumC)
	return l
}

func TestGolden(t *testing.T) {
	for name, l := range map[string]*Lock{"full.lock": full(), "empty.lock": {}} {
		file := filepath.Join("testdata", name)
		got := l.Format()
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Error(d)
		}
		back, err := Parse(file, got)
		if err != nil {
			t.Fatal(err)
		}
		if !back.equal(l) {
			t.Errorf("%s is read as something else: %+v", name, back)
		}
	}
}

func TestLookups(t *testing.T) {
	l := full()
	v, sum := l.Agent(release, "arm64")
	if got := []string{l.Image("docker-daemon:app:1"), v, sum, l.BusyboxSHA("https://example.com/busybox")}; !cmp.Equal(got,
		[]string{"sha256:" + sumA, "v0.7.3", sumB, sumA}) {
		t.Errorf("got %q", got)
	}
	for _, l := range []*Lock{l, nil} {
		v, sum := l.Agent(ReleaseSource("https://example.com/a/b", "latest"), "amd64")
		if got := l.Image("docker-daemon:app:2") + v + sum + l.BusyboxSHA("https://example.com/"); got != "" {
			t.Errorf("got %q", got)
		}
	}
	if v, sum := l.Agent("https://example.com/kestrel-{arch}", "arm64"); v+sum != "" {
		t.Errorf("an agent for another architecture: %q %q", v, sum)
	}
	if v, sum := l.Agent(release, "riscv64"); v != "v0.7.3" || sum != "" {
		t.Errorf("the version is that of all architectures, and it is %q with %q", v, sum)
	}
	if got := append(l.AgentArchs(release), l.AgentArchs("none")...); !cmp.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("locked for %q", got)
	}
}

func TestSet(t *testing.T) {
	l := full()
	l.SetImage("docker-daemon:app:1", "sha256:"+sumC)
	l.SetBusybox("https://example.com/busybox", sumC)
	l.SetAgent(release, "v0.8.0", "amd64", sumC) // another version: that of arm64 is gone
	if len(l.Images) != 3 || len(l.Busybox) != 1 || len(l.Agents) != 2 {
		t.Errorf("pins are there twice: %+v", l)
	}
	if _, sum := l.Agent(release, "arm64"); sum != "" {
		t.Errorf("v0.8.0 has the checksum of v0.7.3: %s", sum)
	}
	version, sum := l.Agent(release, "amd64")
	got := []string{l.Image("docker-daemon:app:1"), version, sum, l.BusyboxSHA("https://example.com/busybox")}
	if want := []string{"sha256:" + sumC, "v0.8.0", sumC, sumC}; !cmp.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, Name)
	if l, err := Read(path); l != nil || err != nil {
		t.Fatalf("no file gives %v, %v", l, err)
	}
	if err := full().Write(path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The same pins, written by hand, stay as they are.
	byHand := append([]byte("# mine\n"), raw...)
	if err := os.WriteFile(path, byHand, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := full().Write(path); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(path); string(now) != string(byHand) {
		t.Error("a file with the same pins was written again")
	}
	bad := full()
	bad.SetImage("nginx", "sha256:"+sumA)
	if err := bad.Write(path); err == nil || !strings.Contains(err.Error(), `image[2].reference = "nginx" is not an image`) {
		t.Errorf("error %v", err)
	}
	if now, _ := os.ReadFile(path); string(now) != string(byHand) {
		t.Error("a failed write changed the file")
	}
	if err := (&Lock{}).Write(path); err != nil {
		t.Fatal(err)
	}
	if l, err := Read(path); err != nil || !l.equal(&Lock{}) {
		t.Errorf("read %v, %v", l, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left behind: %v", list)
	}
	if _, err := Read(dir); err == nil {
		t.Error("a folder is read")
	}
}

func TestErrors(t *testing.T) {
	digest := "digest = \"sha256:" + sumA + "\"\n"
	for _, tt := range []struct{ name, src, want string }{
		{"empty", "", `fledge.lock:1:1: missing key "version" at the top level`},
		{"newer", "version = 2\n[[images]]\n", "fledge.lock:1:11: version = 2 is of a newer fledge, and this one reads 1; use the newer one"},
		{"older", "version = 0\n", "fledge.lock:1:11: version = 0 is not known; this fledge reads 1"},
		{"version as text", "version = \"1\"\n", "fledge.lock:1:11: version must be an integer, not a string"},
		{"conflict", "version = 1\n<<<<<<< HEAD\n", "fledge.lock:2:1: invalid character at start of key: U+003C '<'"},
		{"huge", strings.Repeat("#", MaxSize+1), "fledge.lock:1:1: the file has more than the 1048576 bytes allowed"},
		{"unknown table", "version = 1\n[[images]]\n", `fledge.lock:2:3: unknown key "images" at the top level; did you mean "image"?`},
		{"table", "version = 1\n[image]\n", "fledge.lock:2:2: image must be an array of tables, not a table"},
		{"empty image", "version = 1\n[[image]]\n", "fledge.lock:2:3: missing key \"reference\" in [image[0]]\n" +
			`fledge.lock:2:3: missing key "digest" in [image[0]]`},
		{"reference without transport", "version = 1\n[[image]]\nreference = \"nginx:alpine\"\n" + digest,
			`fledge.lock:3:13: image[0].reference = "nginx:alpine" is not an image with its transport, such as ` +
				`docker://docker.io/library/nginx:alpine`},
		{"digest of capitals", "version = 1\n[[image]]\nreference = \"oci:a\"\ndigest = \"sha256:" + strings.ToUpper(sumA) + "\"\n",
			`fledge.lock:4:10: image[0].digest = "sha256:` + strings.ToUpper(sumA) +
				`" is not a digest: sha256: and 64 lower-case hexadecimal digits`},
		{"one image twice", "version = 1\n[[image]]\nreference = \"oci:a\"\n" + digest + "[[image]]\nreference = \"oci:a\"\n" + digest,
			`fledge.lock:6:13: image[1].reference = "oci:a" is there already; remove one of them`},
		{"odd reference", "version = 1\n[[image]]\nreference = \"oci:a\\nb\"\n" + digest,
			`fledge.lock:3:13: image[0].reference = "oci:a\nb" has a character that is not printable`},
		{"agent without checksums", "version = 1\n[[agent]]\nsource = \"https://example.com\"\n",
			"fledge.lock:2:3: agent[0] has no sha256; run fledge update"},
		{"agent with one checksum for all", "version = 1\n[[agent]]\nsource = \"https://example.com\"\nsha256 = \"" + sumA + "\"\n",
			"fledge.lock:4:10: agent[0].sha256 must be a table, not a string"},
		{"short checksum", "version = 1\n[[agent]]\nsource = \"https://example.com\"\nsha256.amd64 = \"0a\"\n",
			`fledge.lock:4:8: agent[0].sha256: "amd64" = "0a" is not a SHA-256: 64 lower-case hexadecimal digits`},
		{"odd architecture", "version = 1\n[[agent]]\nsource = \"https://example.com\"\nsha256.\"a b\" = \"" + sumA + "\"\n",
			`fledge.lock:4:8: agent[0].sha256: "a b" is not an architecture, such as amd64`},
		{"half a source", "version = 1\n[[agent]]\nsource = \"release latest\"\nsha256.amd64 = \"" + sumA + "\"\n",
			`fledge.lock:3:10: agent[0].source = "release latest" is neither a URL nor release REPOSITORY VERSION`},
		{"busybox without a checksum", "version = 1\n[[busybox]]\nurl = \"https://example.com\"\n",
			`fledge.lock:2:3: missing key "sha256" in [busybox[0]]`},
	} {
		_, err := Parse("fledge.lock", []byte(tt.src))
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// FuzzParse feeds the reader: what it accepts is read back the same from what is written.
func FuzzParse(f *testing.F) {
	f.Add(full().Format())
	f.Add((&Lock{}).Format())
	f.Fuzz(func(t *testing.T, src []byte) {
		var l *Lock
		var err error
		fuzztest.Limit(t, 64<<20+500*len(src), func() { l, err = Parse("fledge.lock", src) })
		if err != nil {
			if strings.Contains(err.Error(), "fledge.lock:0:") || !strings.HasPrefix(err.Error(), "fledge.lock:") {
				t.Errorf("an error without a place: %v", err)
			}
			return
		}
		out := l.Format()
		back, err := Parse("fledge.lock", out)
		if err != nil {
			t.Fatalf("%s\n%v", out, err)
		}
		if !back.equal(l) {
			t.Errorf("%s\nis read as\n%s", out, back.Format())
		}
	})
}

// TestChange has many change a file at once: nothing of any is lost.
func TestChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), Name)
	const n = 20
	failed := make(chan error, n)
	for i := range n {
		go func() {
			failed <- Change(path, func(l *Lock) { l.SetImage(fmt.Sprintf("oci:image-%d", i), "sha256:"+sumA) })
		}()
	}
	for range n {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	l, err := Read(path)
	if err != nil || len(l.Images) != n {
		t.Errorf("%+v, %v", l, err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("files %v, %v", list, err)
	}
	if err := Change(filepath.Join(t.TempDir(), "no", Name), func(*Lock) {}); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
