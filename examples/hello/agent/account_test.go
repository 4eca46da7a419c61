//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFindAccount(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	for file, content := range map[string]string{
		passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:100:web:/var/www:/bin/false\nbad line\nodd:x:7:none::/:\n",
		group:  "root:x:0:\nusers:x:100:\nssl:x:110:root,web\nweb:x:33:other\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		spec     string
		uid, gid uint32
		groups   []uint32
		home     string
	}{
		{"web", 33, 100, []uint32{110}, "/var/www"},
		{"33", 33, 100, []uint32{110}, "/var/www"},
		{"web:web", 33, 33, nil, "/var/www"},
		{"web:5", 33, 5, nil, "/var/www"},
		{"1000", 1000, 0, nil, ""},
		{"4294967295:4294967295", 4294967295, 4294967295, nil, ""},
		{"root", 0, 0, []uint32{110}, "/root"},
	} {
		a, err := findAccount(tt.spec, passwd, group)
		if err != nil {
			t.Errorf("%s: %v", tt.spec, err)
			continue
		}
		if a.Uid != tt.uid || a.Gid != tt.gid || !slices.Equal(a.Groups, tt.groups) || a.home != tt.home {
			t.Errorf("%s is %+v, want %+v", tt.spec, a, tt)
		}
	}
	for spec, want := range map[string]string{
		"nobody":     `user "nobody" is neither a number nor in `,
		"web:nobody": `group "nobody" is neither a number nor in `,
		"odd":        `group "none" of user odd is not a number`,
		"4294967296": `user "4294967296" is neither`,
		"":           `user "" is neither`,
	} {
		if _, err := findAccount(spec, passwd, group); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", spec, err, want)
		}
	}
	if a, err := findAccount("12:34", filepath.Join(dir, "none"), filepath.Join(dir, "none")); err != nil || a.Gid != 34 {
		t.Errorf("without passwd and group: %+v, error %v", a, err)
	}
}
