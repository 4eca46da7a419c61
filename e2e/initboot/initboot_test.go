// Package initboot boots initramfs images under QEMU: what the init makes of a machine before it becomes the image's
// program, what that program inherits, and how a program that cannot be started is told.
package initboot

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/e2e/harness"
	"github.com/fledge-build/fledge/e2e/initramfs"
	"github.com/fledge-build/fledge/internal/bootconf"
)

const agent = "/bin/kestrel"

func TestInitramfs(t *testing.T) {
	k := newKit(t)
	t.Run("agent", func(t *testing.T) { k.testAgent(t) })
	t.Run("custom init", func(t *testing.T) { k.testCustomInit(t) })
	t.Run("shell script", func(t *testing.T) { k.testShellScript(t) })
	for _, f := range k.failures(t) {
		t.Run(f.name, func(t *testing.T) {
			conf := bootconf.Config{Exec: f.exec}
			said := harness.Said(k.boot(t, conf, slices.Concat(initramfs.Devices(), f.tree), ""), "fledge-init: ")
			want := "error: exec " + f.exec + ": " + f.want
			if diff := cmp.Diff([]string{want}, said); diff != "" {
				t.Errorf("the init's lines (-want +got):\n%s", diff)
			}
		})
	}
}

// What a program finds; of the mounts without what varies.
const (
	procMount   = "proc /proc proc rw,nosuid,nodev,noexec,relatime"
	sysMount    = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime"
	devMount    = "devtmpfs /dev devtmpfs rw,nosuid,relatime,mode=755"
	ptsMount    = "devpts /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666"
	shmMount    = "tmpfs /dev/shm tmpfs rw,nosuid,nodev,relatime"
	runMount    = "tmpfs /run tmpfs rw,nosuid,nodev,relatime,mode=755"
	tmpMount    = "tmpfs /tmp tmpfs rw,nosuid,nodev,relatime"
	environment = `["HOME=/" "TERM=linux" "fledge_test=1" "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]`
	console     = `["0:/dev/console" "1:/dev/console" "2:/dev/console"]`
)

// testAgent boots an archive that has nothing but the agent: every mount point has to be made.
func (k *kit) testAgent(t *testing.T) {
	extra := slices.Concat(initramfs.Devices(), tree{dir("bin", 0o755), file("bin/kestrel", 0o755, string(k.report))})
	// What follows the two dashes is for the first program, which is the init: the agent must not get it.
	lines := k.boot(t, bootconf.Config{Exec: agent}, extra, "fledge_test=1 -- word")
	k.checkReport(t, lines, []string{
		"pid 1", `arguments ["/bin/kestrel"]`, "environment " + environment, "files " + console, "directory /, <nil>", "umask 0022",
		"mount " + procMount, "mount " + sysMount, "mount " + devMount, "mount " + ptsMount, "mount " + shmMount,
		"mount " + runMount, "mount " + tmpMount,
		`file /run/kept: "", open /run/kept: no such file or directory`,
		`file /tmp/kept: "", open /tmp/kept: no such file or directory`,
		"write to /run: <nil>", "write to /tmp: <nil>", "write to /dev/shm: <nil>", "pseudo terminal: <nil>", "done",
	})
}

// testCustomInit boots an archive that has all mount points, files in /run and /tmp, a module, no console device and a
// PATH of its own.
func (k *kit) testCustomInit(t *testing.T) {
	conf := bootconf.Config{Exec: "/sbin/my init"}
	extra := tree{
		dir("dev", 0o755), device("dev/null", 1, 3), dir("dev/pts", 0o755), dir("dev/shm", 0o755),
		dir("proc", 0o555), dir("sys", 0o555), dir("run", 0o755), dir("tmp", 0o1777), dir("sbin", 0o755),
		file("run/kept", 0o644, "run"), file("tmp/kept", 0o644, "tmp"), file("sbin/my init", 0o755, string(k.report)),
	}
	var module []string
	if modules := os.Getenv("FLEDGE_KERNEL_MODULES"); modules != "" {
		data, err := os.ReadFile(filepath.Join(modules, "kernel/drivers/virtio/virtio.ko"))
		if err != nil {
			t.Fatal(err)
		}
		conf.Modules = []string{"virtio.ko"}
		extra = append(extra, file(bootconf.ModulesDir+"/virtio.ko", 0o644, string(data)))
		module = []string{"module virtio"}
	} else {
		t.Log("loads no module: FLEDGE_KERNEL_MODULES is not set to the kernel's lib/modules/RELEASE")
	}
	lines := k.boot(t, conf, extra, "PATH=/sbin")
	k.checkReport(t, lines, slices.Concat([]string{
		"pid 1", `arguments ["/sbin/my init"]`, `environment ["HOME=/" "TERM=linux" "PATH=/sbin"]`, "files " + console,
		"directory /, <nil>", "umask 0022",
		"mount " + procMount, "mount " + sysMount, "mount " + devMount, "mount " + ptsMount, "mount " + shmMount,
		`file /run/kept: "run", <nil>`, `file /tmp/kept: "tmp", <nil>`,
		"write to /run: <nil>", "write to /tmp: <nil>", "write to /dev/shm: <nil>", "pseudo terminal: <nil>",
	}, module, []string{"done"}))
}

// varies are the options of mounts that depend on the machine's memory and on the kernel's configuration.
var varies = regexp.MustCompile(`,size=[0-9]+k|,nr_inodes=[0-9]+|,inode64`)

// checkReport compares what the report program says with what is wanted, without the mount of the initramfs itself.
func (k *kit) checkReport(t *testing.T, console, want []string) {
	t.Helper()
	var got []string
	for _, line := range harness.Said(console, "report: ") {
		if strings.HasPrefix(line, "mount ") {
			line = varies.ReplaceAllString(strings.TrimSuffix(line, " 0 0"), "")
		}
		if !strings.HasPrefix(line, "mount rootfs / ") && !strings.HasPrefix(line, "mount none / ") {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the program's report (-want +got):\n%s\nconsole:\n%s", diff, strings.Join(console, "\n"))
	}
	if lines := harness.Said(console, "fledge-init: "); len(lines) > 0 {
		t.Errorf("the init says %q, want nothing", lines)
	}
}

// script tells what a program without a runtime of its own inherits: the blocked and ignored signals, and the limit of
// open files. The shell itself ignores SIGQUIT, signal 3.
const script = `#!/bin/sh
while read -r name value; do
  case $name in SigBlk:|SigIgn:|SigPnd:|ShdPnd:|Threads:) echo "script: $name $value";; esac
done </proc/self/status
echo "script: files $(ulimit -Sn) $(ulimit -Hn)"
echo "script: $0 $#, pid $$, PATH $PATH"
exec poweroff -f
`

func (k *kit) testShellScript(t *testing.T) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs a static busybox for the guest: apt install busybox-static")
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	extra := slices.Concat(initramfs.Devices(), tree{
		dir("bin", 0o755), file("bin/busybox", 0o755, string(busybox)), link("bin/sh", "busybox"),
		link("bin/poweroff", "busybox"), file("start", 0o755, script),
	})
	lines := k.boot(t, bootconf.Config{Exec: "/start"}, extra, "")
	want := []string{
		"Threads: 1", "SigPnd: 0000000000000000", "ShdPnd: 0000000000000000", "SigBlk: 0000000000000000",
		"SigIgn: 0000000000000004", "files 1024 4096", "/start 0, pid 1, PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	if diff := cmp.Diff(want, harness.Said(lines, "script: ")); diff != "" {
		t.Errorf("the script's report (-want +got):\n%s\nconsole:\n%s", diff, strings.Join(lines, "\n"))
	}
}
