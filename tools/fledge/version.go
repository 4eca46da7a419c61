package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fledge-build/fledge/internal/release"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
)

const version = release.Version

// versionInfo is what fledge version tells; with --json as an object with these keys.
type versionInfo struct {
	Version    string          `json:"version"`            // of Fledge
	Go         string          `json:"go"`                 // the compiler: "go1.26.8"
	Platform   string          `json:"platform"`           // "linux/amd64"
	Revision   string          `json:"revision,omitempty"` // of the sources, if the build knew it
	Modified   bool            `json:"modified,omitempty"` // the sources differed from that
	Executable string          `json:"executable"`         // path
	Digest     string          `json:"digest"`             // of that file: "sha256:HEX"
	Payload    []versionedFile `json:"payload"`            // programs for Linux that it brings along; null without
	Modules    []moduleVersion `json:"modules"`            // what it is built of; null if the build did not say
}

type versionedFile struct {
	Name   string `json:"name"`   // "guest-amd64"
	Digest string `json:"digest"` // "sha256:HEX"
}

type moduleVersion struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"` // as go.sum has it: "h1:…"
}

func newVersionCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Tell the version, and what this fledge is built of",
		Long: `Tell the version, the compiler and the platform, the digest of the executable, and the digests of the programs that it brings along
for Linux machines: Fledge's init and the guest that solves Dockerfiles.

With --json it is an object: version, go, platform, revision and modified (of the sources, where the build knew them), executable,
digest, payload (name, digest) and modules (path, version, sum as go.sum has it).`,
		Example: `  fledge version
  fledge version --json | jq -r '.payload[].digest'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := readVersion()
			if err != nil {
				return err
			}
			if !asJSON {
				return info.print(cmd.OutOrStdout())
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(info)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the modules that it is built of")
	return cmd
}

func readVersion() (info versionInfo, err error) {
	info = versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info.Executable, err = os.Executable(); err != nil {
		return info, err
	}
	digest, err := programDigest()
	if err != nil {
		return info, err
	}
	info.Digest = "sha256:" + digest
	sums, err := info.readPayload()
	if err != nil {
		return info, err
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		info.readBuild(build, sums)
	}
	return info, nil
}

// readPayload tells what is in the payload, if there is one, and gives the sums of modules in its go.sum.
func (info *versionInfo) readPayload() (sums map[string]string, err error) {
	p, err := payload.Open()
	if errors.Is(err, payload.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.Close()
	for _, name := range p.Names() {
		digest, err := p.Digest(name)
		if err != nil {
			return nil, err
		}
		info.Payload = append(info.Payload, versionedFile{name, digest})
	}
	goSum, err := p.GoSum()
	if err != nil {
		return nil, err
	}
	sums = map[string]string{}
	for line := range strings.Lines(string(goSum)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			sums[fields[0]+" "+fields[1]] = fields[2]
		}
	}
	return sums, nil
}

// readBuild takes what the go command noted. It notes no sums where modules are vendored, as for a whole fledge: these come
// from the payload.
func (info *versionInfo) readBuild(build *debug.BuildInfo, sums map[string]string) {
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	for _, m := range build.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		sum := m.Sum
		if sum == "" {
			sum = sums[m.Path+" "+m.Version]
		}
		info.Modules = append(info.Modules, moduleVersion{m.Path, m.Version, sum})
	}
}

func (info versionInfo) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "fledge %s\nbuilt with %s for %s", info.Version, info.Go, info.Platform)
	if info.Revision != "" {
		fmt.Fprintf(&b, " from revision %s", info.Revision)
		if info.Modified {
			b.WriteString(" with changes")
		}
	}
	fmt.Fprintf(&b, "\n%s  %s\n", info.Digest, info.Executable)
	for _, f := range info.Payload {
		fmt.Fprintf(&b, "%s  %s\n", f.Digest, f.Name)
	}
	if info.Payload == nil {
		fmt.Fprintln(&b, "no payload:", payload.ErrNone)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
