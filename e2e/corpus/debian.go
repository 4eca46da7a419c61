package corpus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const suite = "bookworm"

var (
	systemPackages = []string{
		"ca-certificates", "git", "iproute2", "iputils-ping", "openssh-client", "perl", "systemd", "systemd-sysv",
	}
	runtimePackages = []string{
		"libopenblas0-pthread", "python3", "python3-babel", "python3-docutils", "python3-numpy", "python3-pygments",
		"python3-requests", "python3-setuptools", "python3-yaml",
	}
)

// systemList is the file beside the root folder that names the packages of the system layer.
const systemList = "system-packages"

// debian returns a folder with root/, a Debian root folder, and systemList.
func debian(ctx context.Context, cache string, progress io.Writer) (string, error) {
	dir := filepath.Join(cache, "debian-"+suite)
	if exists(dir) {
		return dir, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w: debootstrap needs root", ErrMissing)
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return "", fmt.Errorf("%w: %w (apt install debootstrap)", ErrMissing, err)
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return "", err
	}
	return dir, appear(dir, func(partial string) error {
		if err := os.MkdirAll(partial, 0o755); err != nil {
			return err
		}
		return bootstrap(ctx, partial, mirror, progress)
	})
}

// bootstrap runs debootstrap once for the names of the system's packages and once for all.
func bootstrap(ctx context.Context, dir, mirror string, progress io.Writer) error {
	root := filepath.Join(dir, "root")
	run := func(out io.Writer, packages []string, flags ...string) error {
		args := append(flags, "--variant=minbase", "--include="+strings.Join(packages, ","), suite, root, mirror)
		cmd := exec.CommandContext(ctx, "debootstrap", args...)
		// Maintainer scripts write what locale, time zone and editor say.
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("debootstrap %s from %s: %w", suite, mirror, err)
		}
		return nil
	}
	var names strings.Builder
	if err := run(&names, systemPackages, "--print-debs"); err != nil {
		return err
	}
	list := strings.Join(strings.Fields(names.String()), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, systemList), []byte(list), 0o644); err != nil {
		return err
	}
	return run(progress, append(append([]string{}, systemPackages...), runtimePackages...))
}

// mirror is the Debian mirror that apt is set up with.
func mirror(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: apt-get indextargets: %w", ErrMissing, err)
	}
	anyDebian := ""
	for _, line := range strings.Split(string(out), "\n") {
		release, uri, _ := strings.Cut(line, " ")
		if !strings.HasSuffix(strings.TrimRight(uri, "/"), "/debian") {
			continue
		}
		if release == suite {
			return uri, nil
		}
		anyDebian = uri
	}
	if anyDebian == "" {
		return "", fmt.Errorf("%w: apt's sources name no Debian mirror (a URI that ends in /debian)", ErrMissing)
	}
	return anyDebian, nil
}

// ownership tells which of the two Debian layers a path belongs to.
type ownership struct {
	system, runtime map[string]bool
}

// readOwnership reads dpkg's file lists, which know a merged /usr only by its old names.
func readOwnership(dir string) (*ownership, error) {
	names, err := os.ReadFile(filepath.Join(dir, systemList))
	if err != nil {
		return nil, err
	}
	isSystem := map[string]bool{}
	for _, name := range strings.Fields(string(names)) {
		isSystem[name] = true
	}
	lists, err := filepath.Glob(filepath.Join(dir, "root/var/lib/dpkg/info/*.list"))
	if err != nil {
		return nil, err
	}
	if len(lists) == 0 {
		return nil, errors.New("no dpkg file lists in " + dir)
	}
	o := &ownership{system: map[string]bool{}, runtime: map[string]bool{}}
	for _, list := range lists {
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":")
		owned := o.runtime
		if isSystem[name] {
			owned = o.system
		}
		data, err := os.ReadFile(list)
		if err != nil {
			return nil, err
		}
		for _, path := range strings.Split(string(data), "\n") {
			owned[mergedUsr(strings.TrimPrefix(path, "/"))] = true
		}
	}
	return o, nil
}

func mergedUsr(path string) string {
	top, _, _ := strings.Cut(path, "/")
	switch top {
	case "bin", "sbin", "lib", "lib32", "lib64", "libx32":
		return "usr/" + path
	}
	return path
}

// isRuntime reports whether path belongs to the runtime layer; what no package owns goes with its folder.
func (o *ownership) isRuntime(path string) bool {
	for ; path != "."; path = filepath.Dir(path) {
		if o.system[path] {
			return false
		}
		if o.runtime[path] {
			return true
		}
	}
	return false
}

// skipped holds what a build leaves behind and an image does not want.
func skipped(path string, entry fs.DirEntry) bool {
	switch filepath.Dir(path) {
	case "var/cache/apt", "var/cache/apt/archives", "var/lib/apt/lists", "var/lib/apt/lists/partial", "var/log":
		return !entry.IsDir()
	}
	return entry.Type()&fs.ModeSocket != 0
}
