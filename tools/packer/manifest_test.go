package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/manifest"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

// manifestFiles writes the inputs of packer manifest and returns the flags for them.
func manifestFiles(t *testing.T, toml, config, digest string) (args []string, out string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out = filepath.Join(dir, "web.manifest.json")
	d := write("digest", digest)
	return []string{"--toml", write("manifest.toml", toml), "--image-config", write("config.json", config),
		"--rootfs", "anywhere/web.img", "--rootfs-digest", d, "--initramfs", "web.initramfs.cpio.gz",
		"--initramfs-digest", d, "--out", out}, out
}

const (
	someTOML   = "name = \"web\"\nversion = \"1\"\n"
	someConfig = `{"config":{"Entrypoint":["/bin/app"],"ExposedPorts":{"80/tcp":{}}}}`
)

var someDigest = "sha256:" + strings.Repeat("0a", 32)

func TestManifest(t *testing.T) {
	args, out := manifestFiles(t, someTOML, someConfig, someDigest+"\n")
	if err := runManifest(t.Context(), append(args, "--compat", ""), io.Discard); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		RootFS, Initramfs struct{ URL, Format, Checksum string }
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if r := got.RootFS; r.URL != "web.img" || r.Format != "squashfs" || r.Checksum != someDigest {
		t.Errorf("rootfs is %+v", r)
	}
	if i := got.Initramfs; i.URL != "web.initramfs.cpio.gz" || i.Format != "cpio.gz" || i.Checksum != someDigest {
		t.Errorf("initramfs is %+v", i)
	}
}

// verityFile writes the parameters of some image.
func verityFile(t *testing.T) (file string, params verity.Params) {
	t.Helper()
	params = verity.Params{
		Algorithm: "sha256", DataBlockSize: 4096, HashBlockSize: 4096, DataBlocks: 2, HashOffset: 8192,
		RootHash: layout.Hash{0: 0x12}, Salt: layout.Hash{0: 0x34},
	}
	file = filepath.Join(t.TempDir(), "verity.json")
	if err := os.WriteFile(file, params.JSON(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, params
}

func TestManifestVerity(t *testing.T) {
	file, params := verityFile(t)
	args, out := manifestFiles(t, someTOML, someConfig, someDigest)
	if err := runManifest(t.Context(), append(args, "--rootfs-verity", file), io.Discard); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if m.RootFS.Verity == nil || *m.RootFS.Verity != params {
		t.Errorf("rootfs.verity is %+v, want %+v", m.RootFS.Verity, params)
	}
}

func TestManifestErrors(t *testing.T) {
	file, _ := verityFile(t)
	cut, params := verityFile(t)
	if err := os.WriteFile(cut, params.JSON()[:9], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, toml, config, digest string
		args                       []string
		code                       int
		want                       string
	}{
		{"wrong key", someTOML + "nmae = 1\n", someConfig, someDigest, nil, cli.ExitError,
			`manifest.toml:3:1: unknown key "nmae"`},
		{"wrong config", someTOML, "[]", someDigest, nil, cli.ExitError, "config.json: image config: "},
		{"wrong port", someTOML, `{"config":{"Cmd":["a"],"ExposedPorts":{"x":{}}}}`, someDigest, nil, cli.ExitError,
			`config.json: ExposedPorts: "x" is not a port`},
		{"another processor", someTOML, `{"architecture":"arm64"}`, someDigest, []string{"--arch", "amd64"}, cli.ExitError,
			"config.json: the image is for arm64, and the guest is amd64: give an image for linux/amd64"},
		{"another system", someTOML, `{"os":"windows","architecture":"amd64"}`, someDigest, []string{"--arch", "amd64"},
			cli.ExitError, "the image is for windows, and Fledge makes Linux guests"},
		{"wrong digest", someTOML, someConfig, "sha256:0a\n\n", nil, cli.ExitError,
			`holds "sha256:0a\n", not sha256: and 64 lower-case hex digits`},
		{"wrong compat", someTOML, someConfig, someDigest, []string{"--compat", "volant"}, cli.ExitError,
			`compat "volant" is not known`},
		{"half an artifact", someTOML, someConfig, someDigest, []string{"--rootfs-digest", ""}, cli.ExitUsage,
			"--rootfs and --rootfs-digest go together"},
		{"wrong verity", someTOML, someConfig, someDigest, []string{"--rootfs-verity", cut}, cli.ExitError,
			"verity.json: the parameters of dm-verity are cut off after 9 bytes"},
		{"verity of ext4", someTOML, someConfig, someDigest, []string{"--rootfs-format", "ext4", "--rootfs-verity", file}, cli.ExitError,
			`rootfs format "ext4" has no hash tree of dm-verity`},
		{"verity of nothing", someTOML, someConfig, someDigest, []string{"--rootfs", "", "--rootfs-digest", "", "--rootfs-verity", file},
			cli.ExitUsage, "--rootfs-verity needs --rootfs"},
		{"no output", someTOML, someConfig, someDigest, []string{"--out", ""}, cli.ExitUsage, "--out is required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args, out := manifestFiles(t, tt.toml, tt.config, tt.digest)
			err := runManifest(t.Context(), append(args, tt.args...), io.Discard)
			if cli.ExitCode(err) != tt.code || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q and exit code %d", err, tt.want, tt.code)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("a manifest was written")
			}
		})
	}
}
