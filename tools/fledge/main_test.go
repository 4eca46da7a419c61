package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

// fledge runs a command line in this process.
func fledge(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&log)
	root.SetIn(strings.NewReader(""))
	err = root.ExecuteContext(t.Context())
	return out.String(), log.String(), err
}

func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("kestrel", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		`no command "biuld"`:                         {"biuld"},
		"unknown flag: --x":                          {"--x"},
		"boot takes one image, and 0 are given":      {"boot"},
		"boot takes one image, and 2 are given":      {"boot", "a", "b"},
		`--publish "80:": give HOST:GUEST`:           {"boot", "a", "-p", "80:"},
		"the guest's port 80 is given twice":         {"boot", "a", "-p", "80", "-p", "1:80"},
		"must not be negative":                       {"boot", "a", "--memory", "-1"},
		`version takes no arguments, and "x" is`:     {"version", "x"},
		`man takes no arguments, and "x" is`:         {"man", "x"},
		"give --dir or --reference":                  {"man"},
		`no command "biuld"; fledge --help`:          {"help", "biuld"},
		`--agent: "kestrel" is a file here`:          {"build", "Dockerfile", "--agent", "kestrel"},
		"--vmm nothing: it is auto, cloud-hyp":       {"boot", "a", "--vmm", "nothing"},
		"--arch mips: it is amd64 or arm64":          {"boot", "a", "--arch", "mips"},
		"--arch x: it is amd64 or arm64":             {"update", "--arch", "x"},
		"--vmm none: it is auto, cloud-hypervisor":   {"build", "Dockerfile", "--vmm", "none"},
		`--output "": give a name`:                   {"build", "Dockerfile", "--output", ""},
		`--output ".img": give a name`:               {"build", "Dockerfile", "--output", ".img"},
		`--output "a/": give a name`:                 {"build", "Dockerfile", "--output", "a/"},
		"--secret x: give NAME=VALUE":                {"build", "Dockerfile", "--secret", "x"},
		`--ssh: "a b" is no id`:                      {"build", "Dockerfile", "--ssh", "a b=c"},
		"--secret: a is given twice":                 {"build", "Dockerfile", "--secret", "a=b", "--secret", "a=c"},
		`--agent: "" is no tag`:                      {"build", "Dockerfile", "--agent", ""},
		"--agent: http://example.com/k: plain":       {"build", "Dockerfile", "--agent", "http://example.com/k"},
		`--busybox: "ftp://h/b"`:                     {"build", "Dockerfile", "--output-initramfs", "--busybox", "ftp://h/b"},
		"--busybox is for --output-initramfs":        {"build", "Dockerfile", "--busybox", "https://h/b"},
		"--build-arg =x: give NAME=VALUE":            {"build", "Dockerfile", "--build-arg", "=x"},
		"--json tells of everything":                 {"build", "--json", "--quiet"},
		"it goes without --quiet and --progress":     {"update", "--json", "--progress", "plain"},
		"--quiet and --progress live exclude":        {"build", "-q", "--progress", "live"},
		"--progress none: it is auto, live":          {"build", "--progress", "none"},
		"--config and Dockerfile: give a recipe or ": {"build", "Dockerfile", "-c", "fledge.toml"},
		"--config and x: give a recipe or a":         {"update", "x", "-c", "fledge.toml"},
		"--agent is for fledge build DOCKERFILE or":  {"update", "--agent", "v1"},
		"update takes one Dockerfile, and 2":         {"update", "a", "b"},
		`invalid argument "x" for "--timeout" flag`:  {"boot", "a", "--timeout", "x"},
	} {
		_, _, err := fledge(t, args...)
		if err == nil || !strings.Contains(err.Error(), want) || cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: error %v, want a usage error with %q", args, err, want)
		}
	}
}

// TestVersionIsTheModules compares with the one place that says the version.
func TestVersionIsTheModules(t *testing.T) {
	b, err := os.ReadFile("../../MODULE.bazel")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^module\(\n    name = "fledge",\n    version = "(.*)",$`).FindSubmatch(b)
	if found == nil || string(found[1]) != version {
		t.Errorf("version %q, MODULE.bazel says %q", version, found)
	}
}

// standIn makes a payload of files that pass for programs, with a text after their names, and has the environment name it.
func standIn(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	source := payload.Source{Programs: map[string]string{}, GoSum: filepath.Join(dir, "go.sum")}
	for _, name := range []string{payload.InitAMD64, payload.GuestAMD64} {
		source.Programs[name] = filepath.Join(dir, name)
		if err := os.WriteFile(source.Programs[name], []byte(name+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(source.GoSum, []byte("example.com/m v1.0.0/go.mod h1:no\nexample.com/m v1.0.0 h1:yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := payload.Write(&b, 0, source); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "payload")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(payload.Variable, file)
}

// TestCodeDigest has a payload outside of the program: another one may make other bytes.
func TestCodeDigest(t *testing.T) {
	digest := func(text string) string {
		t.Helper()
		standIn(t, text)
		p, err := payload.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		d, err := codeDigest(p)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if one, two := digest(""), digest("2"); one == two || one != digest("") {
		t.Errorf("%s of one payload and %s of another", one, two)
	}
}

func TestVersion(t *testing.T) {
	standIn(t, "")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(executable)
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	text, _, err := fledge(t, "version")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fledge " + version + "\n", "built with " + runtime.Version() + " for " + runtime.GOOS + "/" + runtime.GOARCH,
		digest + "  " + executable + "\n", "  guest-amd64\n", "  init-amd64\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	raw, _, err := fledge(t, "version", "--json")
	if err != nil {
		t.Fatal(err)
	}
	var info versionInfo
	if err := json.Unmarshal([]byte(raw), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != version || info.Digest != digest || len(info.Payload) != 2 || info.Payload[1].Name != "init-amd64" {
		t.Errorf("%+v", info)
	}
	t.Setenv(payload.Variable, "")
	if text, _, err := fledge(t, "version"); err != nil || !strings.Contains(text, "no payload: this fledge does not have") {
		t.Errorf("%v, %s", err, text)
	}
	t.Setenv(payload.Variable, executable)
	if _, _, err := fledge(t, "version"); err == nil {
		t.Error("no error for a payload that is none")
	}
}

func TestReadBuild(t *testing.T) {
	info := versionInfo{}
	info.readBuild(&debug.BuildInfo{
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
		Deps: []*debug.Module{
			{Path: "example.com/m", Version: "v1.0.0"}, {Path: "example.com/n", Version: "v1.0.0", Sum: "h1:own"},
			{Path: "example.com/o", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/p", Version: "v2.0.0"}},
		},
	}, map[string]string{"example.com/m v1.0.0": "h1:yes", "example.com/n v1.0.0": "h1:no"})
	want := versionInfo{Revision: "abc", Modified: true, Modules: []moduleVersion{
		{"example.com/m", "v1.0.0", "h1:yes"}, {"example.com/n", "v1.0.0", "h1:own"}, {"example.com/p", "v2.0.0", ""},
	}}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	standIn(t, "")
	sums, err := info.readPayload()
	if err != nil || sums["example.com/m v1.0.0"] != "h1:yes" {
		t.Errorf("%v, %v", sums, err)
	}
	var text strings.Builder
	if err := info.print(&text); err != nil || !strings.Contains(text.String(), " from revision abc with changes\n") {
		t.Errorf("%v, %s", err, text.String())
	}
}

func TestReference(t *testing.T) {
	t.Setenv(cacheVariable, "/elsewhere") // the page is the same whatever the environment
	var made strings.Builder
	if err := writeReference(&made, newRoot()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/fledge-cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), made.String()); diff != "" {
		t.Errorf("write docs/fledge-cli.md anew with `go run ./tools/fledge man --reference docs/fledge-cli.md` (-page +commands):\n%s", diff)
	}
}

func TestManPages(t *testing.T) {
	var made []map[string]string
	for _, epoch := range []string{"0", "1700000000"} {
		t.Setenv("SOURCE_DATE_EPOCH", epoch)
		dir := filepath.Join(t.TempDir(), "man1")
		if _, _, err := fledge(t, "man", "--dir", dir); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		pages := map[string]string{}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pages[filepath.Base(file)] = string(b)
		}
		made = append(made, pages)
	}
	if diff := cmp.Diff(made[0], made[1]); diff != "" {
		t.Errorf("the pages have the time in them:\n%s", diff)
	}
	page := made[0]["fledge-boot.1"]
	want := fmt.Sprintf(".TH \"FLEDGE-BOOT\" \"1\" \"\" \"fledge %s\" \"Fledge\"\n", version)
	if !strings.Contains(page, want) || !strings.Contains(page, `\fB--append\fP`) || made[0]["fledge.1"] == "" {
		t.Errorf("no %q in\n%s", want, page)
	}
	if made[0]["fledge-man.1"] != "" || made[0]["fledge-help.1"] != "" {
		t.Error("hidden commands have pages")
	}
}

// TestCompletion has a real bash complete command lines.
func TestCompletion(t *testing.T) {
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		t.Skipf("needs the package bash-completion: %v", err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	script, _, err := fledge(t, "completion", "bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"completion.bash": script, "app.manifest.json": "", "app.txt": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The script asks the program by its name: this test's program answers in its place.
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(executable, filepath.Join(dir, "fledge")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"fledge b":                           "boot",
		"fledge boot --v":                    "--vmm",
		"fledge boot --vmm q":                "qemu",
		"fledge boot --vmm=c":                "cloud-hypervisor",
		"fledge boot --arch ar":              "arm64",
		"fledge boot ap":                     "app.manifest.json",
		"fledge boot app.manifest.json --cp": "--cpus",
	} {
		words := strings.Fields(line)
		program := fmt.Sprintf(`source %s; source ./completion.bash
COMP_LINE=%q; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_WORDS=(%s); COMP_CWORD=%d
__start_fledge; printf '%%s\n' "${COMPREPLY[@]}"`, library, line, strings.ReplaceAll(strings.Join(words, " "), "=", " = "), len(strings.Fields(strings.ReplaceAll(line, "=", " = ")))-1)
		cmd := exec.Command(bash, "--norc", "--noprofile", "-c", program)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir, asFledge + "=1"}
		out, err := cmd.Output() // complaints that no completion runs are on standard error
		if got := strings.Fields(string(out)); err != nil || len(got) == 0 || got[0] != want {
			t.Errorf("%s: %q, %v, want %q", line, out, err, want)
		}
	}
}

// asFledge has the test's program be the command.
const asFledge = "FLEDGE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asFledge) != "" {
		main()
	}
	os.Exit(m.Run())
}
