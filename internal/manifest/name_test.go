package manifest

import "testing"

func TestName(t *testing.T) {
	for src, want := range map[string]string{
		"name = \"web\"\nversion = \"1\"\n[network]\nmode = \"dhcp\"": "web",
		"version = \"1\"":          "",
		"name = \"a/b\"":           "",
		"name = 3":                 "",
		"name = ":                  "",
		"[workload]\nname = \"x\"": "",
	} {
		if got := Name([]byte(src)); got != want {
			t.Errorf("%s: %q, want %q", src, got, want)
		}
	}
}
