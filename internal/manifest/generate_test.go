package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/verity"
	"github.com/fledge-build/fledge/internal/verity/layout"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	image     = &File{Name: "web.img", Format: "squashfs", Checksum: "sha256:" + strings.Repeat("01", 32)}
	initramfs = &File{Name: "web.initramfs.cpio.gz", Checksum: "sha256:" + strings.Repeat("ef", 32)}
)

// checkedImage is one with a hash tree of dm-verity.
var checkedImage = &File{Name: "web.img", Format: "erofs", Checksum: image.Checksum, Verity: &verity.Params{
	Algorithm: "sha256", DataBlockSize: 4096, HashBlockSize: 4096, DataBlocks: 5, HashOffset: 20480,
	RootHash: layout.Hash{0: 0x12, 31: 0x34}, Salt: layout.Hash{0: 0x56, 31: 0x78},
}}

// golden are the cases of testdata: NAME.toml, with NAME.config.json where there is one, gives NAME.json.
var golden = map[string]Options{
	"minimal":  {Name: "minimal", RootFS: image},
	"full":     {Name: "not-used", RootFS: image, Initramfs: initramfs},
	"image":    {RootFS: &File{Name: "dir/a b%.img", Format: "ext4", Checksum: image.Checksum}},
	"override": {Initramfs: initramfs},
	"compat":   {RootFS: image, Initramfs: initramfs, Compat: CompatVolant07},

	"verity":        {RootFS: checkedImage, Initramfs: initramfs},
	"verity-compat": {RootFS: checkedImage, Initramfs: initramfs, Compat: CompatVolant07},
}

func TestGolden(t *testing.T) {
	schema := publishedSchema(t)
	for name, o := range golden {
		t.Run(name, func(t *testing.T) {
			m := generate(t, name, o)
			got, err := m.JSON()
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".json")
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
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Error(err)
			}
			encoded, err := EncodeCmdline(m)
			if err != nil {
				t.Fatal(err)
			}
			back, err := DecodeCmdline(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := back.JSON(); err != nil || !bytes.Equal(again, got) {
				t.Errorf("after the kernel command line, error %v:\n%s", err, again)
			}
		})
	}
}

func generate(t *testing.T, name string, o Options) *Manifest {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", name+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	o.Config, err = ocilayout.ReadConfig(filepath.Join("testdata", name+".config.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	m, err := Generate("manifest.toml", src, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func publishedSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// change replaces a part of a manifest.
type change struct{ old, new string }

// TestSchemaRejects breaks a good manifest in many ways, each of which the schema must notice.
func TestSchemaRejects(t *testing.T) {
	rejects(t, "full.json", []change{
		{`"schema_version": "v1"`, `"schema_version": "v2"`},
		{`"name": "web"`, `"name": "Web"`},
		{`"name": "web",`, ``},
		{`"version": "1.2.3-rc.1+build.5"`, `"version": ""`},
		{`"enabled": true`, `"enabled": "yes"`},
		{`"enabled": true`, `"enabled": true, "extra": 1`},
		{`"format": "squashfs"`, `"format": "tar"`},
		{`"sha256:0101`, `"sha256:01`},
		{`"url": "web.img"`, `"url": "/web.img"`},
		{`"cpu_cores": 4`, `"cpu_cores": 0`},
		{`"cpu_cores": 4`, `"cpu_cores": 1.5`},
		{`"memory_mb": 512`, `"memory_mb": "512"`},
		{`"type": "http"`, `"type": "tcp"`},
		{`"mode": "dhcp"`, `"mode": "nat"`},
		{`"port": 8080,`, `"port": 0,`},
		{`"protocol": "udp"`, `"protocol": "sctp"`},
		{`"method": "POST"`, `"method": "post"`},
		{`"path": "/-/reload"`, `"path": "reload"`},
		{`"seed_mode": "vfat"`, `"seed_mode": "iso"`},
		{`"0000:01:00.0"`, `"01:00.0"`},
		{`"team": "web"`, `"team": 1`},
		{`"LOG_LEVEL": "info"`, `"LOG_LEVEL": null`},
		{`"base_url": "http://localhost:8080/<base>?a&b",`, ``},
	})
	rejects(t, "verity.json", []change{
		{`"format": "erofs"`, `"format": "ext4"`},
		{`"algorithm": "sha256"`, `"algorithm": "sha512"`},
		{`"data_block_size": 4096`, `"data_block_size": 512`},
		{`"hash_block_size": 4096,`, ``},
		{`"data_blocks": 5`, `"data_blocks": 0`},
		{`"hash_offset": 20480`, `"hash_offset": 20481`},
		{`"root_hash": "1200`, `"root_hash": "120`},
		{`"salt": "5600`, `"salt": "X600`},
		{`"salt": "5600`, `"extra": 1, "salt": "5600`},
	})
}

func rejects(t *testing.T, file string, changes []change) {
	t.Helper()
	schema := publishedSchema(t)
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range changes {
		changed := strings.Replace(string(raw), tt.old, tt.new, 1)
		if changed == string(raw) {
			t.Errorf("%s is not in the manifest", tt.old)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(changed))
		if err != nil {
			t.Fatalf("%s: %v", tt.new, err)
		}
		if schema.Validate(v) == nil {
			t.Errorf("%s instead of %s is valid", tt.new, tt.old)
		}
	}
}

func TestArtifactErrors(t *testing.T) {
	src := []byte("name = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\"/a\"]\n")
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{}, "there is neither a rootfs nor an initramfs to boot from"},
		{Options{RootFS: &File{Name: "a", Format: "squashf"}},
			`rootfs format "squashf" is not known; did you mean "squashfs"?`},
		{Options{Initramfs: &File{Name: "a.cpio.bz2"}},
			"initramfs a.cpio.bz2: the name must end with one of .cpio, .cpio.gz, .cpio.zst, .cpio.xz, .cpio.lz4"},
		{Options{RootFS: &File{Name: "a", Format: "ext4", Verity: checkedImage.Verity}},
			`rootfs format "ext4" has no hash tree of dm-verity: those that the guest cannot write to have one, squashfs and erofs`},
		{Options{RootFS: image, Compat: "volant"}, `compat "volant" is not known; known is "volant-0.7"`},
	} {
		if _, err := Generate("manifest.toml", src, tt.o); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

// TestCmdline fills a manifest until it no longer fits on the kernel command line.
func TestCmdline(t *testing.T) {
	m := generate(t, "full", golden["full"])
	if err := m.checkCmdline(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil) // something that does not compress
	for range 100 {
		m.Workload.Env["BIG"] += hex.EncodeToString(sum[:])
		sum = sha256.Sum256(sum[:])
	}
	err := m.checkCmdline()
	if err == nil {
		t.Fatal("a manifest with 6400 random digits fits")
	}
	want := " bytes on the kernel command line (gzip, base64url), and 1600 fit; its parts, in bytes of JSON: " +
		"workload.env 6456, cloud_init 200, actions 153, initramfs 135, rootfs 122, network 103, devices 71, labels 57; " +
		"shorten the largest, or put the values into the image"
	if !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestDecodeCmdlineErrors(t *testing.T) {
	bomb, err := EncodeCmdline(&Manifest{Name: strings.Repeat("a", maxDecoded)})
	if err != nil {
		t.Fatal(err)
	}
	noJSON := "H4sIAAAAAAAA_wMAAAAAAAAAAAA" // gzip of nothing
	for value, want := range map[string]string{
		"?":    "illegal base64 data at input byte 0",
		"YQ":   "unexpected EOF",
		noJSON: "unexpected end of JSON input",
		bomb:   "unpacks to more than 1048576 bytes",
	} {
		_, err := DecodeCmdline(value)
		if err == nil || err.Error() != "manifest on the kernel command line: "+want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func FuzzDecodeCmdline(f *testing.F) {
	good, err := EncodeCmdline(&Manifest{Name: "a"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if m, err := DecodeCmdline(value); (m == nil) == (err == nil) {
			t.Errorf("manifest %v and error %v", m, err)
		}
	})
}

// FuzzGenerate feeds the reader of manifest.toml: what it accepts is valid by the schema, and errors have places.
func FuzzGenerate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, []byte(`{"config":{"Cmd":["a"],"Env":["A=b"],"ExposedPorts":{"80/tcp":{}},"User":"1"}}`))
	}
	schema, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src, config []byte) {
		o := Options{Name: "name", RootFS: image}
		if c, err := ocilayout.ParseConfig(config); err == nil {
			o.Config = c
		}
		m, err := Generate("manifest.toml", src, o)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if strings.Contains(line, "manifest.toml:0:") || strings.Contains(line, "manifest.toml:-") {
					t.Errorf("an error without a place: %s", line)
				}
			}
			return
		}
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s\n%v", raw, err)
		}
	})
}
