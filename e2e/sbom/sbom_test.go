// Package sbom has a workspace make SBOM and provenance, and compares them with what the programs say whose data they tell.
package sbom

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
)

const buildFile = `load("@fledge//fledge:defs.bzl", "fledge_initramfs", "fledge_layers", "fledge_rootfs")

fledge_layers(
    name = "layers",
    layers = ["base.tar", "app.tar"],
)

fledge_rootfs(
    name = "web",
    agent = "agent",
    filesystem = "erofs",
    image = ":layers",
    manifest = "manifest.toml",
    mappings = {"web.conf": "/etc/web.conf"},
)

fledge_initramfs(
    name = "small",
    agent = "agent",
    busybox = None,
    image = ":layers",
    manifest = "manifest.toml",
)
`

const manifest = `name = "web"
version = "1"
runtime = "web"
[workload]
type = "http"
entrypoint = ["/usr/bin/app"]
base_url = "http://localhost:80"
`

var flags = []string{"--@fledge//fledge/settings:sbom", "--@fledge//fledge/settings:builder_id=https://ci.example.com/1",
	"--output_groups=+sbom,+provenance"}

// newWorkspace makes the workspace and gives the paths of the Go program and the dpkg database in its layers.
func newWorkspace(t *testing.T) (w *harness.Workspace, program, admin string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-o", program, "./tools/packer")
	build.Dir, build.Env = toolrun.Repository(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	read := func(path string) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	admin = "/var/lib/dpkg"
	app := imagetest.Regular("usr/bin/app", read(program))
	app.Mode = 0o755
	w = harness.NewWorkspace(t, map[string]string{
		"BUILD.bazel":   buildFile,
		"manifest.toml": manifest,
		"web.conf":      "port = 80\n",
		"agent":         read(program),
		"base.tar": string(imagetest.Tar(t, imagetest.Regular("var/lib/dpkg/status", read(admin+"/status")),
			imagetest.Regular("etc/os-release", read("/etc/os-release")))),
		"app.tar": string(imagetest.Tar(t, app)),
	})
	return w, program, admin
}

// document is what is looked at of an SPDX document.
type document struct {
	Packages []struct {
		SPDXID, Name, VersionInfo, PackageFileName string
		Checksums                                  []struct{ ChecksumValue string }
		ExternalRefs                               []struct{ ReferenceLocator string }
	}
	Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
}

// statement is what is looked at of a provenance statement.
type statement struct {
	Subject   []resource
	Predicate struct {
		BuildDefinition struct {
			ExternalParameters   map[string]any
			ResolvedDependencies []resource
		}
		RunDetails struct{ Builder struct{ ID string } }
	}
}

type resource struct {
	Name   string
	Digest map[string]string
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func sha256sum(t *testing.T, path string) string {
	t.Helper()
	digits, _, _ := strings.Cut(imagetest.Run(t, "sha256sum", path), " ")
	return digits
}

func TestWorkspace(t *testing.T) {
	harness.NeedSlow(t, "starts a Bazel server and builds the tools")
	imagetest.Need(t, "dpkg-query", "sha256sum")
	w, program, admin := newWorkspace(t)

	// Who does not ask fetches nothing for it, and who asks without the flag is told.
	w.Bazel(t, "build", "//:web")
	if fetched, err := filepath.Glob(filepath.Join(w.OutputBase, "external", "*fledge_sbom_*")); err != nil || len(fetched) > 0 {
		t.Errorf("a build without an SBOM fetches %q (%v)", fetched, err)
	}
	out, err := w.Try("build", "--output_groups=+sbom", "//:web")
	if err == nil || !strings.Contains(out, "//:web: the output groups sbom and provenance need --@fledge//fledge/settings:sbom") {
		t.Errorf("without the flag: %v\n%s", err, out)
	}

	w.Bazel(t, "build", append(slices.Clone(flags), "//:web", "//:small")...)
	bin := filepath.Join(w.Dir, "bazel-bin")
	for image, files := range map[string][]string{
		"web":   {"web.img", "web.initramfs.cpio.gz", "web.manifest.json"},
		"small": {"small.cpio.gz", "small.manifest.json"},
	} {
		t.Run(image, func(t *testing.T) {
			var doc document
			readJSON(t, filepath.Join(bin, image+".spdx.json"), &doc)
			checkFiles(t, doc, bin, files[:len(files)-1])
			checkDebian(t, doc, admin)
			checkGo(t, doc, program)
			var s statement
			readJSON(t, filepath.Join(bin, image+".provenance.json"), &s)
			checkStatement(t, s, w.Dir, bin, files)
		})
	}
}

// checkFiles compares the digests of what the document is about, and of its layers.
func checkFiles(t *testing.T, doc document, bin string, files []string) {
	t.Helper()
	digests := map[string]string{}
	for _, p := range doc.Packages {
		if len(p.Checksums) > 0 {
			digests[p.Name] = p.Checksums[0].ChecksumValue
		}
	}
	for _, name := range files {
		if want := sha256sum(t, filepath.Join(bin, name)); digests[name] != want {
			t.Errorf("%s has the digest %s, and the document says %q", name, want, digests[name])
		}
	}
	for _, name := range []string{"base.tar", "app.tar"} {
		digits := sha256sum(t, filepath.Join(filepath.Dir(bin), name)) // beside bazel-bin, in the workspace
		if digests["sha256:"+digits] != digits {
			t.Errorf("the layer %s, %s, is not in the document", name, digits)
		}
	}
}

// checkDebian compares the packages with what dpkg-query tells.
func checkDebian(t *testing.T, doc document, admin string) {
	t.Helper()
	var got, want []string
	for _, p := range doc.Packages {
		if len(p.ExternalRefs) > 0 && strings.HasPrefix(p.ExternalRefs[0].ReferenceLocator, "pkg:deb/debian/") {
			got = append(got, "installed "+p.Name+" "+p.VersionInfo)
		}
	}
	out := imagetest.Run(t, "dpkg-query", "--admindir", admin, "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n")
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "installed ") {
			want = append(want, line)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	imagetest.Compare(t, "packages of Debian", want, got)
}

var moduleLine = regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)\t`)

// checkGo compares the modules of the program in the layer with what go version -m tells.
func checkGo(t *testing.T, doc document, program string) {
	t.Helper()
	names, self := map[string]string{}, ""
	for _, p := range doc.Packages {
		names[p.SPDXID] = p.Name + " " + p.VersionInfo
		if p.Name == "/usr/bin/app" {
			self = p.SPDXID
		}
	}
	var got, want []string
	for _, r := range doc.Relationships {
		if r.SPDXElementID == self && r.RelationshipType == "DEPENDS_ON" && !strings.HasPrefix(names[r.RelatedSPDXElement], "stdlib ") {
			got = append(got, names[r.RelatedSPDXElement])
		}
	}
	for _, match := range moduleLine.FindAllStringSubmatch(imagetest.Run(t, "go", "version", "-m", program), -1) {
		want = append(want, match[1]+" "+match[2])
	}
	if len(want) < 3 {
		t.Fatalf("go version -m tells of %q only", want)
	}
	slices.Sort(got)
	slices.Sort(want)
	imagetest.Compare(t, "modules of "+program, want, got)
}

// checkStatement compares the digests of subjects and inputs.
func checkStatement(t *testing.T, s statement, dir, bin string, files []string) {
	t.Helper()
	var names []string
	for _, subject := range s.Subject {
		names = append(names, subject.Name)
		if want := sha256sum(t, filepath.Join(bin, subject.Name)); subject.Digest["sha256"] != want {
			t.Errorf("%s has the digest %s, and the statement says %v", subject.Name, want, subject.Digest)
		}
	}
	if !slices.Equal(names, files) {
		t.Errorf("subjects %q, want %q", names, files)
	}
	inputs := map[string]string{}
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		inputs[d.Name] = d.Digest["sha256"]
	}
	want := []string{"base.tar", "app.tar", "agent", "manifest.toml"}
	if files[0] == "web.img" {
		want = append(want, "web.conf")
	}
	for _, name := range want {
		if digits := sha256sum(t, filepath.Join(dir, name)); inputs["//:"+name] != digits {
			t.Errorf("%s has the digest %s, and the statement says %q", name, digits, inputs["//:"+name])
		}
	}
	if len(inputs) != len(want)+1 {
		t.Errorf("inputs %v, want %q and the init", inputs, want)
	}
	if id := s.Predicate.RunDetails.Builder.ID; id != "https://ci.example.com/1" {
		t.Errorf("builder %q", id)
	}
	if got := s.Predicate.BuildDefinition.ExternalParameters["target"]; got != "//:"+strings.SplitN(files[0], ".", 2)[0] {
		t.Errorf("target %v", got)
	}
}
