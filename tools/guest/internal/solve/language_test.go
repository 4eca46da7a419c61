//go:build linux

package solve_test

import (
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// key is a private key as ssh-keygen writes it.
func key(t *testing.T) []byte {
	block, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)), "")
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

// TestLanguage solves one Dockerfile for each part of the language. files are entries of the layers that it adds, as
// "mode uid:gid text" or, for a link, its target; "" says that there is none. config is a check of the image's config.
func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		name   string
		c      solvetest.Case
		files  map[string]string
		log    string // what the steps must write
		config func(im solvetest.Image) string
	}{
		{name: "run", c: solvetest.Case{Dockerfile: "FROM base:1\nRUN echo hello > /x && chmod 640 /x\n"},
			files: map[string]string{"x": "640 0:0 hello\n"}},
		{name: "run exec form", c: solvetest.Case{Dockerfile: "FROM base:1\nRUN [\"touch\", \"/a b\"]\n"},
			files: map[string]string{"a b": "644 0:0 "}},
		{name: "heredocs", c: solvetest.Case{
			Dockerfile: "FROM base:1\nRUN <<EOF\nset -e\necho one > /a\nEOF\nCOPY <<X <<Y /d/\nx\nX\ny\nY\n"},
			files: map[string]string{"a": "644 0:0 one\n", "d/X": "644 0:0 x\n", "d/Y": "644 0:0 y\n"}},
		{name: "stages and target", c: solvetest.Case{
			Dockerfile: "FROM base:1 AS a\nRUN echo a > /a\nFROM base:1 AS b\nCOPY --from=a /a /b\nFROM b AS c\nRUN false\n",
			Edit:       func(j *wire.Job) { j.Target = "b" }},
			files: map[string]string{"b": "644 0:0 a\n", "a": ""}},
		{name: "scratch", c: solvetest.Case{Dockerfile: "FROM scratch\nCOPY --from=base:1 /etc/passwd /p\n"},
			config: func(im solvetest.Image) string { return fmt.Sprint(len(im.Manifest.Layers)) + " want 1" }},
		{name: "arg in from", c: solvetest.Case{
			Dockerfile: "ARG V=2\nFROM base:${V}\nARG V\nARG W=w\nRUN echo $V$W > /x\n",
			Edit:       func(j *wire.Job) { j.BuildArgs = map[string]string{"V": "1"} }},
			files: map[string]string{"x": "644 0:0 1w\n"}},
		{name: "full name of the base", c: solvetest.Case{Dockerfile: "FROM docker.io/library/base:1\nRUN true > /x\n"},
			files: map[string]string{"x": "644 0:0 "}},
		{name: "copy", c: solvetest.Case{
			Dockerfile: "FROM base:1\nCOPY --chown=app:extra --chmod=0751 a.txt /d/a\n" +
				"COPY --exclude=**/*.md --parents src/./*/* /p/\n" +
				"COPY --link b?.txt /l/\nADD a.txt /added\n",
			Context: map[string]string{"a.txt": "A", "b1.txt": "B", "src/x/1.go": "g", "src/x/1.md": "m"}},
			files: map[string]string{"d/a": "751 1000:2000 A", "p/x/1.go": "644 0:0 g", "p/x/1.md": "", "l/b1.txt": "644 0:0 B",
				"added": "644 0:0 A"}},
		{name: "ignore file", c: solvetest.Case{Dockerfile: "FROM base:1\nCOPY . /c/\n",
			Context: map[string]string{"keep": "k", "drop.o": "d", ".dockerignore": "*.o\n"}},
			files: map[string]string{"c/keep": "644 0:0 k", "c/drop.o": ""}},
		{name: "ignore file of the Dockerfile", c: solvetest.Case{Dockerfile: "FROM base:1\nCOPY . /c/\n", Ignore: "keep\n",
			Context: map[string]string{"keep": "k", "drop.o": "d", ".dockerignore": "*.o\n"}},
			files: map[string]string{"c/keep": "", "c/drop.o": "644 0:0 d"}},
		{name: "bind, tmpfs and cache mounts", c: solvetest.Case{
			Dockerfile: "FROM base:1\nRUN --mount=type=bind,source=a,target=/m/a --mount=type=tmpfs,target=/t " +
				"--mount=type=cache,target=/cache,id=c cat /m/a > /x; touch /t/y; echo 1 > /cache/n\n" +
				"RUN --mount=type=cache,target=/cache,id=c cat /cache/n >> /x\n",
			Context: map[string]string{"a": "A"}},
			files: map[string]string{"x": "644 0:0 A1\n", "m/a": "", "t/y": "", "cache/n": ""}},
		{name: "secret", c: solvetest.Case{
			Dockerfile: "FROM base:1\nRUN --mount=type=secret,id=token,mode=0400 wc -c < /run/secrets/token > /n\n" +
				"RUN --mount=type=secret,id=token,env=TOKEN test $(echo $TOKEN | rev) = 6l2-zqxkj\n",
			Edit: func(j *wire.Job) { j.Secrets = []string{"token"} }},
			files: map[string]string{"n": "644 0:0 9\n", "run/secrets/token": ""}},
		{name: "ssh", c: solvetest.Case{
			Dockerfile: "FROM base:1\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n",
			Edit:       func(j *wire.Job) { j.SSH = []string{"default"} }}},
		{name: "user", c: solvetest.Case{Dockerfile: "FROM base:1\nUSER app\nWORKDIR /w/d\n" +
			"RUN id -u; id -G; pwd; echo $HOME\n"},
			log: "1000\n1000 2000\n/w/d\n/home/app\n"},
		{name: "user and group by number", c: solvetest.Case{Dockerfile: "FROM base:1\nUSER 7:8\n" +
			"RUN id -u; id -G; grep CapEff /proc/self/status\n"},
			log: "7\n8\nCapEff:\t0000000000000000\n"},
		{name: "shell", c: solvetest.Case{Dockerfile: "FROM base:1\nSHELL [\"sh\", \"-xc\"]\nRUN true > /x\n"},
			log: "+ true\n"},
		{name: "syntax and escape directives", c: solvetest.Case{
			Dockerfile: "# syntax=docker/dockerfile:1.7-labs\n# escape=`\nFROM base:1\nRUN echo `\n a > /x\n"},
			files: map[string]string{"x": "644 0:0 a\n"}},
		{name: "network none", c: solvetest.Case{Dockerfile: "FROM base:1\nRUN --network=none ip -o link\n" +
			"RUN ip -o link | wc -l\n"},
			log: "1\n"},
		{name: "rights", c: solvetest.Case{Dockerfile: "FROM base:1\nRUN mount -t tmpfs x /tmp; unshare -n true; " +
			"mknod /dev/d b 259 0; " +
			"cat /dev/d; mknod /d b 7 0; cat /d; echo x > /proc/sys/kernel/hostname; " +
			"grep -E 'Cap(Eff|Bnd)|Seccomp:|NoNew' /proc/self/status; true\n"},
			log: "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n"},
		{name: "proc behind a link", c: solvetest.Case{Dockerfile: "FROM base:1 AS links\nRUN mkdir /r && ln -s /elsewhere /r/proc\n" +
			"FROM base:1\nCOPY --from=links /r/ /\n" +
			"RUN for p in sys keys; do grep -c \" /elsewhere/$p \" /proc/self/mounts; done\n"},
			log: "1\n1\n"},
		{name: "metadata", c: solvetest.Case{
			Dockerfile: "FROM base:1\nENV A=1\nLABEL l=v\nEXPOSE 80\nVOLUME /v\n" +
				"STOPSIGNAL SIGINT\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\n" +
				"HEALTHCHECK --interval=5s CMD true\nONBUILD RUN echo later\nUSER app\nWORKDIR /home\n",
			Edit: func(j *wire.Job) { j.Labels = map[string]string{"more": "label"} }},
			config: func(im solvetest.Image) string {
				c := im.Config.Config
				rest := []string{c.User, c.WorkingDir, c.StopSignal}
				return fmt.Sprint(c.Env, c.Labels, c.ExposedPorts, c.Volumes, c.Entrypoint, c.Cmd, rest) +
					" want [PATH=/bin A=1] map[l:v more:label] map[80/tcp:{}] map[/v:{}] [e] [c] [app /home SIGINT]"
			}},
		{name: "links and whiteouts", c: solvetest.Case{
			Dockerfile: "FROM base:1\nRUN ln -s /nowhere /s; echo 1 > /h; ln /h /i; rm /etc/group\n"},
			files: map[string]string{"s": "/nowhere", "i": "h", "etc/.wh.group": "0 0:0 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			secrets := wire.Secrets{Secrets: map[string][]byte{"token": []byte("jkxqz-2l6")},
				SSH: map[string][]byte{"default": key(t)}}
			im, o := image(t, c.c, secrets)
			files := im.Files(t, 0)
			seen := o.log() + string(im.Blobs[im.Manifest.Config.Digest])
			for _, f := range files {
				seen += f.Text
			}
			if strings.Contains(seen, "jkxqz") {
				t.Error("the secret is in the image or the log")
			}
			for name, want := range c.files {
				if got := describe(files, name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(o.log(), c.log) {
				t.Errorf("the steps wrote %q, want %q", o.log(), c.log)
			}
			if c.config != nil {
				if got, want, _ := strings.Cut(c.config(im), " want "); got != want {
					t.Errorf("config: got %s, want %s", got, want)
				}
			}
			t.Log(o.log())
		})
	}
}

func describe(files map[string]solvetest.File, name string) string {
	f, ok := files[name]
	switch {
	case !ok:
		return ""
	case f.Linkname != "":
		return f.Linkname
	}
	return fmt.Sprintf("%o %d:%d %s", f.Mode, f.Uid, f.Gid, f.Text)
}

// TestBaseLayers holds what caches rely on: base layers keep their bytes, and new files have no time after the epoch.
func TestBaseLayers(t *testing.T) {
	base := solvetest.Busybox(t)
	o := run(t, base, solvetest.Case{
		Dockerfile: "FROM base:1\nRUN echo 1 > /x; cp /etc/passwd /p; touch -d @5 /old\nCOPY a /a\n",
		Context:    map[string]string{"a": "A"},
	}, wire.Secrets{})
	if o.failure != nil {
		t.Fatal(o.failure)
	}
	im := solvetest.ReadImage(t, o.archive)
	layers := im.Manifest.Layers
	if len(layers) != 3 || layers[0].Digest != base.Layer {
		t.Fatalf("layers %v, the base's is %s", layers, base.Layer)
	}
	if want := "application/vnd.oci.image.layer.v1.tar+gzip"; layers[1].MediaType != want {
		t.Errorf("the new layer is %s", layers[1].MediaType)
	}
	if im.Config.Created == nil || im.Config.Created.Unix() != solvetest.Epoch {
		t.Errorf("created %v", im.Config.Created)
	}
	for name, f := range im.Files(t, 1) {
		want := int64(solvetest.Epoch)
		if name == "old" {
			want = 5
		}
		if f.ModTime.Unix() != want {
			t.Errorf("%s has the time %v", name, f.ModTime)
		}
	}
	if f := im.Files(t, 0)["etc/group"]; f.ModTime.Unix() <= solvetest.Epoch {
		t.Error("the base's times are not younger than the epoch: the test shows nothing")
	}
}

// TestSameBytes solves twice, the second time with a server that has nothing cached.
func TestSameBytes(t *testing.T) {
	c := solvetest.Case{
		Dockerfile: "FROM base:1 AS a\nRUN echo 1 > /a; sleep 1; mkdir -p /d/e; touch /d/f\n" +
			"FROM base:1\nCOPY --from=a /d /d\n" +
			"RUN echo $RANDOM > /dev/null; ls /proc/self/fd > /fds\nENV X=1\n",
	}
	_, one := image(t, c, wire.Secrets{})
	fresh(t)
	_, two := image(t, c, wire.Secrets{})
	if string(one.archive) != string(two.archive) || one.digest != two.digest {
		t.Errorf("%s and then %s", one.digest, two.digest)
	}
}
