package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// folder has what an image is made of, and the flags that say so.
func folder(t *testing.T) (dir string, flags []string) {
	t.Helper()
	dir = t.TempDir()
	layer := imagetest.Tar(t, imagetest.Regular("var/lib/dpkg/status", "Package: base\nStatus: install ok installed\nVersion: 1\n"))
	parts := ""
	add := func(text string, args ...any) { parts += fmt.Sprintf(text, args...) + "\n" }
	write := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	layout := filepath.Join(dir, "layout")
	err := layers.WriteLayout(layout, layers.Gzip, v1.ImageConfig{}, func(w *layers.Writer) error {
		file := imagetest.Regular("etc/motd", "hello")
		file.Size = int64(len(file.Data))
		return w.Add(&file.Header, strings.NewReader(file.Data))
	})
	if err != nil {
		t.Fatal(err)
	}
	add(`{"kind":"layer","src":%q,"label":"//:base.tar"}`, write("base.tar", string(layer)))
	add(`{"kind":"layout","src":%q,"label":"//:image","platform":"linux/amd64"}`, layout)
	add(`{"kind":"agent","src":%q,"label":"//:agent","dest":"/bin/kestrel"}`, write("agent", "agent"))
	add(`{"kind":"mapping","src":%q,"label":"//:site","dest":"/srv/a"}`, write("a", "a"))
	add(`{"kind":"mapping","src":%q,"label":"//:site","dest":"/srv/b"}`, write("b", "b"))
	write("tree/sub/c", "c")
	add(`{"kind":"mapping","src":%q,"label":"//:tree","dest":"/srv/tree"}`, filepath.Dir(filepath.Dir(write("tree/d", "d")))+"/tree")
	add(`{"kind":"init","src":%q,"label":"@fledge//:init"}`, write("init", "init"))
	add(`{"kind":"material","src":%q,"label":"//:manifest.toml"}`, write("manifest.toml", ""))
	digest := write("digest", "sha256:"+strings.Repeat("1", 64)+"\n")
	boot := write("boot.digest", "sha256:"+strings.Repeat("2", 64)+"\n")
	return dir, []string{"--parts", write("parts", parts), "--name", "web.img", "--digest", digest,
		"--boot", "web.cpio.gz", "--boot-digest", boot, "--out", filepath.Join(dir, "out.json")}
}

func run(t *testing.T, args ...string) []byte {
	t.Helper()
	if err := dispatch(context.Background(), args, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(args[len(args)-1])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// TestProvenance reads the statement with in-toto's library, which knows each field of it.
func TestProvenance(t *testing.T) {
	dir, flags := folder(t)
	manifest := filepath.Join(dir, "web.manifest.json")
	if err := os.WriteFile(manifest, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"provenance", "--manifest", manifest, "--parameters", `{"filesystem":"erofs"}`, "--builder",
		"https://ci.example.com/1"}, flags...)
	text := run(t, args...)
	_, elsewhere := folder(t)
	if again := run(t, append(slices.Clone(args[:len(args)-len(flags)]), elsewhere...)...); !bytes.Equal(text, again) {
		t.Error("made of the same files in another folder, the statement differs")
	}
	statement, predicate := &intoto.Statement{}, &slsa.Provenance{}
	if err := protojson.Unmarshal(text, statement); err != nil {
		t.Fatal(err)
	}
	raw, err := protojson.Marshal(statement.GetPredicate())
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(raw, predicate); err != nil {
		t.Fatal(err)
	}
	if err := statement.Validate(); err != nil {
		t.Error(err)
	}
	if err := predicate.Validate(); err != nil {
		t.Error(err)
	}
	if statement.GetPredicateType() != "https://slsa.dev/provenance/v1" || predicate.GetRunDetails().GetBuilder().GetId() != "https://ci.example.com/1" ||
		predicate.GetBuildDefinition().GetExternalParameters().AsMap()["filesystem"] != "erofs" {
		t.Errorf("%s", text)
	}
	blob, err := layers.Blobs(filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.ReadFile(filepath.Join(dir, "base.tar"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"web.img sha256:" + strings.Repeat("1", 64), "web.cpio.gz sha256:" + strings.Repeat("2", 64), "web.manifest.json sha256:" + sum("{}"),
		"layer //:base.tar sha256:" + sum(string(base)), "image //:image sha256:" + manifestDigest(t, filepath.Join(dir, "layout")),
		"layer //:image sha256:" + filepath.Base(blob[0]), "agent //:agent sha256:" + sum("agent"),
		"mapping //:site dirHash:" + sum(sum("a")+"  srv/a\n"+sum("b")+"  srv/b\n"),
		"mapping //:tree dirHash:" + sum(sum("d")+"  srv/tree/d\n"+sum("c")+"  srv/tree/sub/c\n"),
		"init @fledge//:init sha256:" + sum("init"), "material //:manifest.toml sha256:" + sum(""),
	}
	var got []string
	for _, d := range append(statement.GetSubject(), predicate.GetBuildDefinition().GetResolvedDependencies()...) {
		line := d.GetName()
		if kind := d.GetAnnotations().AsMap()["kind"]; kind != nil {
			line = fmt.Sprint(kind, " ", line)
		}
		for algorithm, value := range d.GetDigest() {
			line += " " + algorithm + ":" + value
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// manifestDigest is the digest of the image's manifest, which index.json names.
func manifestDigest(t *testing.T, layout string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(layout, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index v1.Index
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	return index.Manifests[0].Digest.Encoded()
}

func TestSPDX(t *testing.T) {
	_, flags := folder(t)
	text := run(t, append([]string{"spdx"}, flags...)...)
	_, elsewhere := folder(t)
	if again := run(t, append([]string{"spdx"}, elsewhere...)...); !bytes.Equal(text, again) {
		t.Error("made of the same files in another folder, the document differs")
	}
	for _, want := range []string{`"name": "base"`, `"name": "/srv/tree/sub/c"`, `"name": "web.cpio.gz"`, `OCI layer 2 of 2`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
}

func TestErrors(t *testing.T) {
	dir, flags := folder(t)
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("sha256:12\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := func(args ...string) []string { return append(append([]string{"provenance"}, flags...), args...) }
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{nil, "no command given", 2},
		{[]string{"sign"}, `unknown command "sign"`, 2},
		{[]string{"spdx"}, "--parts, --name, --digest and --out are required", 2},
		{[]string{"spdx", "x"}, `unexpected argument "x"`, 2},
		{[]string{"spdx", "--x"}, "-x", 2},
		{with("--boot", ""), "--boot and --boot-digest belong together", 2},
		{with("--parameters", "[]"), "give a JSON object", 2},
		{with("--builder", "me"), "give a URI", 2},
		{with("--digest", bad), `bad: "sha256:12\n" is no digest`, 1},
		{with("--parts", bad), "bad: line 1", 1},
		{with("--manifest", bad+"/missing"), "missing", 1},
	} {
		err := dispatch(context.Background(), c.args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || cli.ExitCode(err) != c.code {
			t.Errorf("%q: error %v, code %d, want %q, %d", c.args, err, cli.ExitCode(err), c.want, c.code)
		}
	}
	if err := dispatch(context.Background(), []string{"spdx", "-help"}, io.Discard); err != nil {
		t.Error(err)
	}
}
