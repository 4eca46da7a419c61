// Package guest runs the guest half of a solve in machines under QEMU, and compares with the same solve on the host.
package guest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// broad uses many parts of the language at once.
var broad = solvetest.Case{
	Dockerfile: `# syntax=docker/dockerfile:1
ARG V=1
FROM base:${V} AS tools
WORKDIR /src
COPY --exclude=*.md . .
RUN <<EOF
set -e
sha256sum *.txt > /sums
mkdir -p /out/d
ln -s d /out/l
echo $$ > /out/d/pid
EOF
FROM base:1 AS release
COPY --from=tools --chown=app:extra --chmod=0640 /out /out
COPY --link --from=tools /sums /sums
RUN --mount=type=secret,id=token --mount=type=cache,target=/cache wc -c < /run/secrets/token > /n; echo 1 > /cache/x
RUN --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/t ls /ctx > /t/list; cp /t/list /list; rm /etc/group
USER app
RUN id > /tmp/id; echo $HOME >> /tmp/id; cat /proc/self/status | grep -E 'Cap|Seccomp:' >> /tmp/id
ENV A=b
HEALTHCHECK CMD true
`,
	Context: map[string]string{"a.txt": "A", "b.txt": "B", "c.md": "C", ".dockerignore": "b.txt"},
	Edit:    func(j *wire.Job) { j.Secrets = []string{"token"} },
}

var secrets = wire.Secrets{Secrets: map[string][]byte{"token": []byte("jkxqz-2l6")}}

func TestSameBytes(t *testing.T) {
	k := newKit(t)
	input := solvetest.Disk(t, solvetest.Busybox(t), broad)
	vm := k.boot(t, solve{input: input, secrets: secrets})
	if vm.result.Failure != nil {
		t.Fatalf("%s\n%s\n%s", vm.result.Failure, vm.log(), vm.console)
	}
	t.Logf("microvm: %v, %+v, %+v", vm.took, vm.result.Times, vm.result.Memory)
	if strings.Contains(vm.console+vm.log(), "jkxqz") {
		t.Error("the secret is on a console")
	}
	solvetest.ReadImage(t, vm.image)
	compare := func(name string, o outcome) {
		t.Helper()
		if o.result.Failure != nil {
			t.Errorf("%s: %s", name, o.result.Failure)
		} else if !bytes.Equal(vm.image, o.image) {
			t.Errorf("%s: %s differs from %s in the microvm", name, o.result.Payload.Digest, vm.result.Payload.Digest)
		}
		t.Logf("%s: %v, %+v, %+v", name, o.took, o.result.Times, o.result.Memory)
	}
	compare("pci, less memory", k.boot(t, solve{input: input, secrets: secrets, machine: "pci", memory: 448}))
	swap := broad
	swap.Edit = func(j *wire.Job) { broad.Edit(j); j.Scratch = wire.ScratchSwap }
	input = solvetest.Disk(t, solvetest.Busybox(t), swap)
	compare("swap", k.boot(t, solve{input: input, secrets: secrets, scratch: 2 << 30, memory: 384}))
	if os.Getuid() == 0 {
		compare("host", k.host(t, solve{input: input, secrets: secrets}))
	} else {
		t.Log("not compared with a solve on this machine, which needs root")
	}
}

// TestNetwork has a step and an ADD fetch from a server on this machine, and an image from nowhere be refused still.
func TestNetwork(t *testing.T) {
	k := newKit(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "this is %s", r.URL.Path)
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	address := "http://10.0.2.2:" + port // QEMU's name for this machine
	allow := func(j *wire.Job) { j.Network = true }
	s := solve{network: true, cmdline: wire.NetworkParameter + "10.0.2.15::10.0.2.2:255.255.255.0::::10.0.2.3"}
	s.input = solvetest.Disk(t, solvetest.Busybox(t), solvetest.Case{Edit: allow,
		Dockerfile: "FROM base:1\nADD " + address + "/added /added\n" +
			"RUN wget -q -O /got " + address + "/got; cat /etc/resolv.conf /added /got; echo\n" +
			"RUN --network=none ip -o link | wc -l\n"})
	o := k.boot(t, s)
	if o.result.Failure != nil {
		t.Fatalf("%s\n%s", o.result.Failure, o.log())
	}
	if want := "nameserver 10.0.2.3\nthis is /addedthis is /got\n1\n"; o.log() != want {
		t.Errorf("the steps wrote %q, want %q", o.log(), want)
	}
	s.input = solvetest.Disk(t, solvetest.Busybox(t), solvetest.Case{Edit: allow, Dockerfile: "FROM alpine\n"})
	k.expect(t, s, wire.FailSource, "docker.io/library/alpine:latest")
}
