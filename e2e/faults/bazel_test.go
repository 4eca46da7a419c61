package faults

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/layers"
	"github.com/fledge-build/fledge/e2e/toolrun"
	"github.com/fledge-build/fledge/internal/imagetest"
)

// bazelKills is how many builds are killed, in so many attempts. Each has an image of its own, of which no cache has anything.
const (
	bazelKills    = 3
	bazelAttempts = 12
)

const buildFile = `load("@fledge//fledge:defs.bzl", "fledge_layers", "fledge_rootfs")

[fledge_layers(name = "layers%%d" %% i, layers = ["layer%%d.tar" %% i]) for i in range(%d)]

[fledge_rootfs(
    name = "image%%d" %% i,
    agent = "agent.sh",
    compression_level = 3,
    image = ":layers%%d" %% i,
    manifest = "manifest.toml",
) for i in range(%[1]d)]
`

// uncached keeps what the rules make of images out of the disk cache, which has the tools.
const uncached = "--modify_execution_info=Fledge(Pack|PackFiles|Link|BootInitramfs|Manifest)=+no-cache"

// TestBazel kills Bazel, server and all, while it builds, and builds with two output bases at once with one disk cache: later
// builds make the bytes of an undisturbed one without that cache.
func TestBazel(t *testing.T) {
	harness.NeedSlow(t, "starts Bazel servers, some of them after they were killed")
	random := moments(t)
	files := map[string]string{
		"BUILD.bazel": fmt.Sprintf(buildFile, bazelAttempts+2), "agent.sh": "#!/bin/sh\n", "manifest.toml": manifestTOML,
	}
	for i := range bazelAttempts + 2 {
		layer, err := layers.Tar(func(w *layers.Writer) error {
			return errors.Join(addFile(w, "noise", imagetest.Noise(random.Int(), 500_000)), addFile(w, "text", imagetest.Text(i, 3<<20)))
		})
		if err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("layer%d.tar", i)] = string(layer)
	}
	undisturbed := harness.NewWorkspace(t, files)
	undisturbed.Bazel(t, "build", uncached, "//:all")
	undisturbed.Bazel(t, "shutdown")
	w := harness.NewWorkspace(t, files)
	w.Bazel(t, "build", uncached, fmt.Sprintf("//:image%d", bazelAttempts+1)) // fetches and makes the tools
	killed, most := 0, 10*time.Second
	for attempt := 0; killed < bazelKills && attempt < bazelAttempts; attempt++ {
		target := fmt.Sprintf("//:image%d", attempt)
		if killBazel(t, w, target, time.Duration(random.Int64N(int64(most)))) {
			killed++
		} else { // how long a build takes depends on the machine
			most = most * 3 / 4
		}
		w.Bazel(t, "build", target)
		compare(t, undisturbed, w, strings.TrimPrefix(target, "//:"))
	}
	if t.Logf("%d builds were killed", killed); killed < bazelKills {
		t.Errorf("%d kills came before the end of a build, and not %d", killed, bazelKills)
	}
	t.Run("two output bases", func(t *testing.T) { twoBases(t, undisturbed, w, fmt.Sprintf("//:image%d", bazelAttempts)) })
}

// killBazel starts a build and kills client and server, and tells whether the build was on its way.
func killBazel(t *testing.T, w *harness.Workspace, target string, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(filepath.Join(toolrun.Repository(), "bazelw"), "--output_base="+w.OutputBase, "build", target)
	cmd.Dir, cmd.SysProcAttr = w.Dir, &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // the server has them as well
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	killServer(t, w)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error is that it is over
	cmd.Wait()
	killServer(t, w) // it may have been starting
	return !strings.Contains(said.String(), "Build completed successfully")
}

// killServer kills the process group of a workspace's server, if there is one.
func killServer(t *testing.T, w *harness.Workspace) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.OutputBase, "server/server.pid.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		t.Fatalf("the server's process is %q", text)
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte(w.OutputBase)) {
		return // it is over, and the number may be another's
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Fatalf("the server %d has no process group of its own: %d, %v", pid, group, err)
	}
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Error(err)
	}
	for range 500 { // until the kernel has taken it away
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// compare compares the files of an image in two workspaces.
func compare(t *testing.T, want, got *harness.Workspace, image string) {
	t.Helper()
	files := func(w *harness.Workspace) map[string]string {
		all := map[string]string{}
		for _, suffix := range []string{".img", ".initramfs.cpio.gz", ".manifest.json"} {
			data, err := os.ReadFile(filepath.Join(w.Dir, "bazel-bin", image+suffix))
			if err != nil {
				t.Error(err)
			}
			all[image+suffix] = digest(data)
		}
		return all
	}
	if diff := cmp.Diff(files(want), files(got)); diff != "" {
		t.Errorf("(-undisturbed +now):\n%s", diff)
	}
}

// twoBases builds an image, of which no cache has anything, with two output bases at once.
func twoBases(t *testing.T, undisturbed, first *harness.Workspace, target string) {
	second := *first
	second.OutputBase += "-second"
	second.Bazel(t, "build", "//:image0") // which is in the disk cache
	defer second.Bazel(t, "shutdown")
	var builds sync.WaitGroup
	for _, w := range []*harness.Workspace{first, &second} {
		builds.Go(func() {
			// Of the convenience symlinks there are but those of one.
			if _, err := w.Try("build", "--experimental_convenience_symlinks=ignore", target); err != nil {
				t.Error(err)
			}
		})
	}
	builds.Wait()
	for _, w := range []*harness.Workspace{first, &second} {
		w.Bazel(t, "build", target)
		compare(t, undisturbed, w, strings.TrimPrefix(target, "//:"))
	}
}
