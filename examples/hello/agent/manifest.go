package main

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// maxManifest is far more than a kernel command line can carry.
const maxManifest = 1 << 20

// manifest is the part of manifest.json that tells what to run.
type manifest struct {
	Workload struct {
		Entrypoint []string          `json:"entrypoint"`
		Env        map[string]string `json:"env"`
		Workdir    string            `json:"workdir"`
	} `json:"workload"`
	Env map[string]string `json:"env"`
}

// manifestFrom reads the manifest on a kernel command line.
func manifestFrom(cmdline string) (*manifest, error) {
	var encoded string
	for _, parameter := range strings.Fields(cmdline) {
		if value, ok := strings.CutPrefix(parameter, "volant.manifest="); ok {
			encoded = value
		}
	}
	if encoded == "" {
		return nil, errors.New("the kernel command line has no volant.manifest=")
	}
	r, err := gzip.NewReader(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(strings.TrimRight(encoded, "="))))
	if err != nil {
		return nil, fmt.Errorf("volant.manifest: %w", err)
	}
	m := new(manifest)
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(m); err != nil {
		return nil, fmt.Errorf("volant.manifest: %w", err)
	}
	return m, nil
}

// command is the workload, ready to start on the console.
func (m *manifest) command() (*exec.Cmd, error) {
	if len(m.Workload.Entrypoint) == 0 {
		return nil, errors.New("the manifest has no workload.entrypoint")
	}
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
	for _, more := range []map[string]string{m.Env, m.Workload.Env} {
		for k, v := range more {
			env[k] = v
		}
	}
	// The program is looked up where it will look things up itself.
	os.Setenv("PATH", env["PATH"])
	c := exec.Command(m.Workload.Entrypoint[0], m.Workload.Entrypoint[1:]...)
	for k, v := range env {
		c.Env = append(c.Env, k+"="+v)
	}
	slices.Sort(c.Env)
	c.Dir = m.Workload.Workdir
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c, nil
}
