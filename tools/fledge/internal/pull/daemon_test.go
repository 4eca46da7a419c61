package pull

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/imagetest"
)

// testDaemon pulls from a daemon that has an image as "fledge-test:1". Save says how to put another one under the name.
func testDaemon(t *testing.T, socket string, load func(archive string)) {
	t.Helper()
	isolate(t)
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	archive := func(size int64) (file, id string, check func(*Image)) {
		image := randomImage(t, "amd64", size, 2)
		file = filepath.Join(t.TempDir(), "image.tar")
		skopeo(t, "copy", "oci:"+newLayout(t, image)+":test", "docker-archive:"+file+":fledge-test:1")
		config, err := image.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		return file, config.String(), func(im *Image) { checkLayers(t, im, image) }
	}
	first, firstID, checkFirst := archive(20_000)
	load(first)
	c, _ := newClient(t)
	ref := "docker-daemon:fledge-test:1"
	id, err := c.Resolve(t.Context(), mustParse(t, ref), amd64)
	if err != nil || id != firstID {
		t.Fatalf("resolved to %s, want %s: %v", id, firstID, err)
	}
	im := mustPull(t, c, ref, "", amd64)
	checkFirst(im)
	if im.Digest != id || im.Layout == "" {
		t.Errorf("digest %s, layout %q", im.Digest, im.Layout)
	}
	checkFirst(mustPull(t, c, "docker-daemon:"+id, "", amd64))
	mustFail(t, c, ref, "", "linux/arm64", "holds no image for linux/arm64, only ")
	mustFail(t, c, "docker-daemon:fledge-test:2", "", amd64, "no daemon gave it; asked were\n  "+socket+": 404")

	second, secondID, checkSecond := archive(30_000)
	load(second)
	if id, err = c.Resolve(t.Context(), mustParse(t, ref), amd64); err != nil || id != secondID {
		t.Errorf("resolved to %s, want %s: %v", id, secondID, err)
	}
	checkSecond(mustPull(t, c, ref, "", amd64))

	// A pinned image that is in the cache needs no daemon; a damaged file is saved once more.
	checkFirst(mustPull(t, c, ref, firstID, amd64))
	if err := os.Truncate(filepath.Join(c.images(), strings.TrimPrefix(secondID, "sha256:")+".tar"), 5000); err != nil {
		t.Fatal(err)
	}
	checkSecond(mustPull(t, c, ref, secondID, amd64))
	t.Setenv("DOCKER_HOST", "unix:///nowhere")
	checkFirst(mustPull(t, c, ref, firstID, amd64))
	checkFirst(mustPull(t, c, "docker-daemon:"+firstID, "", amd64))
}

func TestPodman(t *testing.T) {
	imagetest.Need(t, "podman", "skopeo")
	dir := t.TempDir()
	// Away from the test's folder, whose name would be too long for a socket's.
	short, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(short) })
	socket := filepath.Join(short, "podman.sock")
	global := []string{"--root", dir + "/root", "--runroot", dir + "/run", "--tmpdir", dir + "/tmp",
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"}
	podman := func(args ...string) { imagetest.Run(t, "podman", slices.Concat(global, args)...) }
	startProgram(t, t.Fatalf, socket, "podman",
		slices.Concat(global, []string{"system", "service", "--time=0", "unix://" + socket})...)
	testDaemon(t, socket, func(archive string) { podman("load", "--input", archive) })
}

func TestDocker(t *testing.T) {
	imagetest.NeedRoot(t, "dockerd", "docker", "skopeo")
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	// It wants more of the kernel than containers give.
	startProgram(t, t.Skipf, socket, "dockerd", "--host", "unix://"+socket, "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/pid", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs")
	testDaemon(t, socket, func(archive string) {
		imagetest.Run(t, "docker", "--host", "unix://"+socket, "load", "--input", archive)
	})
}

func TestSockets(t *testing.T) {
	isolate(t)
	c, _ := newClient(t)
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
	mustFail(t, c, "docker-daemon:app", "", amd64, `DOCKER_HOST is "tcp://127.0.0.1:2375"`, "docker-archive:TAR")
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("XDG_RUNTIME_DIR", "/nowhere")
	all, err := sockets()
	want := []string{"/var/run/docker.sock", "/nowhere/podman/podman.sock", "/run/podman/podman.sock"}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("sockets %q, %v", all, err)
	}
	t.Setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
	mustFail(t, c, "docker-daemon:app", "", amd64, "docker-daemon:app:latest: no daemon gave it; asked were\n"+
		"  /nowhere/docker.sock: dial unix /nowhere/docker.sock: connect: no such file or directory", "DOCKER_HOST=unix://SOCKET")
}
