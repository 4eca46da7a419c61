package bootconf

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const rootHash = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestFormatAndParse(t *testing.T) {
	for _, tt := range []struct {
		config Config
		text   string
	}{
		{Config{OverlaySize: "1G"}, "overlay_size=1G\n"},
		{
			Config{OverlaySize: "50%", Modules: []string{"virtio_ring.ko", "virtio-rng.ko"}},
			"overlay_size=50%\nmodule=virtio_ring.ko\nmodule=virtio-rng.ko\n",
		},
		{Config{Exec: "/bin/kestrel"}, "exec=/bin/kestrel\n"},
		{Config{Exec: "/a=b c/d"}, "exec=/a=b c/d\n"},
		{Config{Exec: "/init2", OverlaySize: "1G"}, "exec=/init2\noverlay_size=1G\n"},
		{Config{OverlaySize: "1G", Verity: "cmdline"}, "overlay_size=1G\nverity=cmdline\n"},
		{
			Config{OverlaySize: "1G", Verity: rootHash, Modules: []string{"dm-verity.ko"}},
			"overlay_size=1G\nverity=" + rootHash + "\nmodule=dm-verity.ko\n",
		},
		{Config{Exec: "/bin/kestrel", Modules: []string{"virtio.ko"}}, "exec=/bin/kestrel\nmodule=virtio.ko\n"},
	} {
		if diff := cmp.Diff(tt.text, string(tt.config.Format())); diff != "" {
			t.Errorf("Format (-want +got):\n%s", diff)
		}
		got, err := Parse([]byte(tt.text))
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.text, err)
		}
		if diff := cmp.Diff(tt.config, got); diff != "" {
			t.Errorf("Parse (-want +got):\n%s", diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "unknown line",
		"overlay_size=1G\nmodul=x.ko\n":      `unknown line "modul=x.ko"`,
		"overlay_size=1G\nmodule=../x.ko\n":  "bad module name",
		"overlay_size=1G\nmodule=\n":         "bad module name",
		"module=x.ko\n":                      "neither an exec nor an overlay_size line",
		"overlay_size=\n":                    `overlay_size "" is not a size`,
		"overlay_size=\noverlay_size=1G\n":   `overlay_size "" is not a size`,
		"exec=/x\noverlay_size=lots\n":       `overlay_size "lots" is not a size`,
		"exec=bin/kestrel\n":                 `exec "bin/kestrel" is not an absolute path`,
		"exec=\noverlay_size=1G\n":           `exec "" is not an absolute path`,
		"exec\n":                             `exec "" is not an absolute path`,
		"exec=/bin/../x\n":                   "is not the shortest form",
		"exec=/x\n/y\n":                      `unknown line "/y"`,
		"overlay_size=lots\nmodule=x.ko\n":   `overlay_size "lots" is not a size`,
		"overlay_size=1G\nverity=\n":         `verity "" is not 64 lower-case hex digits, or "cmdline"`,
		"overlay_size=1G\nverity=off\n":      `verity "off" is not 64 lower-case hex digits, or "cmdline"`,
		"exec=/x\nverity=" + rootHash + "\n": "an exec line, which boots no disk, and a verity line",
		"verity=cmdline\n":                   "neither an exec nor an overlay_size line",
		"overlay_size=1G\n\nmodule=x.ko\n\n": "unknown line",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): error %v, want one about %q", text, err, want)
		}
	}
}

func TestCheckSize(t *testing.T) {
	for _, good := range []string{"1K", "512M", "1G", "2T", "512m", "1g", "50%", "100%", "1%", "999999999K"} {
		if err := CheckSize(good); err != nil {
			t.Errorf("CheckSize(%q): %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "1", "512", "M", "%", "0M", "0%", "01G", "1GB", "1.5G", "-1G", "+1G", " 1G", "1G ", "101%", "1P", "1GG",
		"9999999999K", "1G,uid=0", "½G",
	} {
		if CheckSize(bad) == nil {
			t.Errorf("CheckSize(%q) accepts it", bad)
		}
	}
}

func TestCheckExec(t *testing.T) {
	for _, good := range []string{"/init2", "/bin/kestrel", "/a/.b/..c/d..", "/with space", "/ü=%"} {
		if err := CheckExec(good); err != nil {
			t.Errorf("CheckExec(%q): %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "/", "init", "./init", "bin/init", "//init", "/bin//init", "/bin/", "/.", "/..", "/./init", "/bin/./init",
		"/bin/../init", "/bin/..", "/bin\n/init", "/init\n", "/init\x00", "\x00",
	} {
		if CheckExec(bad) == nil {
			t.Errorf("CheckExec(%q) accepts it", bad)
		}
	}
}

// FuzzParse holds that whatever Parse accepts has a valid value in every field and comes back the same from Format.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"overlay_size=1G\n", "exec=/bin/kestrel\n", "exec=/i\noverlay_size=50%\nmodule=a.ko\nmodule=b.ko\n", "exec=/a//b\n", "=\n",
		"overlay_size=1G\nverity=cmdline\n", "overlay_size=1G\nverity=" + rootHash + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if c.Exec == "" || c.OverlaySize != "" {
			if err := CheckSize(c.OverlaySize); err != nil {
				t.Error(err)
			}
		}
		if c.Verity != "" && (CheckVerity(c.Verity) != nil || c.Exec != "") {
			t.Errorf("verity %q with exec %q", c.Verity, c.Exec)
		}
		if c.Exec != "" && path.Clean(c.Exec) != c.Exec {
			t.Errorf("Exec %q, path.Clean makes it %q", c.Exec, path.Clean(c.Exec))
		}
		again, err := Parse(c.Format())
		if diff := cmp.Diff(c, again); diff != "" || err != nil {
			t.Errorf("%v, Format and Parse (-want +got):\n%s", err, diff)
		}
	})
}

func TestFromCommandLine(t *testing.T) {
	for _, tt := range []struct{ cmdline, want string }{
		{"", ""},
		{"\n", ""},
		{"console=ttyS0 panic=-1\n", ""},
		{"overlay_size=512M", "512M"},
		{"console=ttyS0 overlay_size=512M quiet\n", "512M"},
		{"overlay_size=512M overlay_size=1G\n", "1G"},
		{"overlay_size=1G overlay_size=\n", ""},
		{"overlay_size", ""},
		{"xoverlay_size=1G", ""},
		{`foo="a overlay_size=1G b" quiet`, ""},
		{`foo="a b" overlay_size="2G" quiet`, "2G"},
		{`"overlay_size=2G"`, "2G"},
		{`foo="never closed overlay_size=1G`, ""},
		{"a\tb  overlay_size=3G\t\n", "3G"},
	} {
		if got := FromCommandLine(tt.cmdline, "overlay_size"); got != tt.want {
			t.Errorf("FromCommandLine(%q) = %q, want %q", tt.cmdline, got, tt.want)
		}
	}
}
