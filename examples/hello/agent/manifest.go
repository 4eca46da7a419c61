//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/fledge-build/fledge/internal/manifest"
)

// findManifest reads the manifest on the kernel command line, else the one in the file.
func findManifest(cmdlineFile, manifestFile string) (*manifest.Manifest, error) {
	cmdline, err := os.ReadFile(cmdlineFile)
	if err != nil {
		return nil, err
	}
	encoded := ""
	for parameter := range strings.FieldsSeq(string(cmdline)) {
		if value, ok := strings.CutPrefix(parameter, manifest.CmdlineKey+"="); ok {
			encoded = value
		}
	}
	if encoded != "" {
		return manifest.DecodeCmdline(encoded)
	}
	raw, err := os.ReadFile(manifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no manifest: neither %s= on the kernel command line nor %s", manifest.CmdlineKey,
			manifestFile)
	}
	if err != nil {
		return nil, err
	}
	m := new(manifest.Manifest)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%s: %w", manifestFile, err)
	}
	return m, nil
}

// command is the workload, ready to start on the console.
func command(m *manifest.Manifest) (*exec.Cmd, error) {
	if len(m.Workload.Entrypoint) == 0 {
		return nil, errors.New("the manifest has no workload.entrypoint")
	}
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
	attr := &syscall.SysProcAttr{Setsid: true}
	if user := m.Labels[manifest.LabelUser]; user != "" {
		account, err := findAccount(user, "/etc/passwd", "/etc/group")
		if err != nil {
			return nil, err
		}
		attr.Credential = &account.Credential
		env["HOME"] = cmp.Or(account.home, "/")
	}
	maps.Copy(env, m.Env)
	maps.Copy(env, m.Workload.Env)
	// The program is looked up where it will look things up itself.
	if err := os.Setenv("PATH", env["PATH"]); err != nil {
		return nil, err
	}
	c := exec.Command(m.Workload.Entrypoint[0], m.Workload.Entrypoint[1:]...)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		c.Env = append(c.Env, k+"="+env[k])
	}
	c.Dir = cmp.Or(m.Workload.WorkDir, "/")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = attr
	return c, nil
}
