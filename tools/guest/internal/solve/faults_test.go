//go:build linux

package solve_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/solve/solvetest"
	"github.com/fledge-build/fledge/internal/solve/wire"
)

// TestFaults holds what a failed solve says, to the letter.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		c    solvetest.Case
		kind string
		want string
	}{
		{"run", solvetest.Case{Dockerfile: "FROM base:1\nRUN true\nRUN echo one; echo two; \\\n    exit 7\n"},
			wire.FailRun, `
Dockerfile:3: process "/bin/sh -c echo one; echo two;     exit 7" did not complete successfully: exit code: 7
    1 | FROM base:1
    2 | RUN true
>   3 | RUN echo one; echo two; \
>   4 |     exit 7
[2/3] RUN echo one; echo two;     exit 7 wrote last:
    one
    two
`},
		{"not found", solvetest.Case{Dockerfile: "FROM base:1\nRUN [\"nothing\"]\n"}, wire.FailRun, `
Dockerfile:2: process "nothing" did not complete successfully: exit code: 127
    1 | FROM base:1
>   2 | RUN ["nothing"]
[1/2] RUN ["nothing"] wrote last:
    exec: "nothing": executable file not found in $PATH
`},
		{"signal", solvetest.Case{Dockerfile: "FROM base:1\nRUN sh -c 'kill -9 $$'; exit $?\nRUN true\n"},
			wire.FailRun, `
Dockerfile:2: process "/bin/sh -c sh -c 'kill -9 $$'; exit $?" did not complete successfully: exit code: 137
    1 | FROM base:1
>   2 | RUN sh -c 'kill -9 $$'; exit $?
    3 | RUN true
[1/3] RUN sh -c 'kill -9 $$'; exit $? wrote last:
    Killed
`},
		{"unknown instruction", solvetest.Case{Dockerfile: "FROM base:1\nRUNN true\n"}, wire.FailDockerfile, `
Dockerfile:2: unknown instruction: RUNN (did you mean RUN?)
    1 | FROM base:1
>   2 | RUNN true
      | ^^^^
`},
		{"unknown flag", solvetest.Case{Dockerfile: "FROM base:1\nCOPY --form=a b c\n"}, wire.FailDockerfile, `
Dockerfile:2: unknown flag: --form (did you mean from?)
    1 | FROM base:1
>   2 | COPY --form=a b c
      |      ^^^^^^
`},
		{"missing file", solvetest.Case{Dockerfile: "FROM base:1\nRUN true\nCOPY missing.txt /x\n",
			Context: map[string]string{"a": ""}}, wire.FailDockerfile, `
Dockerfile:3: "/missing.txt": not found
    1 | FROM base:1
    2 | RUN true
>   3 | COPY missing.txt /x
      |      ^^^^^^^^^^^
`},
		{"undeclared image", solvetest.Case{Dockerfile: "FROM alpine:3.22\nRUN true\n"}, wire.FailSource, `
Dockerfile:1: image docker.io/library/alpine:3.22 is not among the base images of this solve: nothing is pulled
>   1 | FROM alpine:3.22
      |      ^^^^^^^^^^^
    2 | RUN true
`},
		{"undeclared image in copy", solvetest.Case{Dockerfile: "FROM base:1\nCOPY --from=busybox /a /b\n"},
			wire.FailSource, `
Dockerfile:2: image docker.io/library/busybox:latest is not among the base images of this solve: nothing is pulled
    1 | FROM base:1
>   2 | COPY --from=busybox /a /b
      |             ^^^^^^^
`},
		{"remote add", solvetest.Case{Dockerfile: "FROM base:1\nADD https://example.com/x /x\n"}, wire.FailSource, `
Dockerfile:2: https://example.com/x cannot be fetched, for this solve has no network: put the files into the build context, or allow the network
    1 | FROM base:1
>   2 | ADD https://example.com/x /x
      |             ^^^^^^^^^^^^^
`},
		{"git add", solvetest.Case{Dockerfile: "FROM base:1\nADD https://github.com/a/b.git /x\n"}, wire.FailSource, `
Dockerfile:2: git://github.com/a/b.git cannot be fetched, for this solve has no network: put the files into the build context, or allow the network
    1 | FROM base:1
>   2 | ADD https://github.com/a/b.git /x
      |             ^^^^^^^^^^^^^^^^^^
`},
		{"syntax", solvetest.Case{Dockerfile: "# syntax=example.com/other:1\nFROM base:1\n"}, wire.FailDockerfile, `
Dockerfile:1: syntax example.com/other:1: the bundled frontend knows the syntax of docker/dockerfile alone, and no other is fetched: remove the line, or write the Dockerfile for docker/dockerfile:1
>   1 | # syntax=example.com/other:1
      |          ^^^^^^^^^^^^^^^^^^^
    2 | FROM base:1
`},
		{"stage like an image", solvetest.Case{Dockerfile: "FROM scratch AS base\nFROM base:1\n",
			Edit: func(j *wire.Job) { j.Images[0].Ref = "base" }}, wire.FailDockerfile, `
Dockerfile:1: stage base has the name of base image base, which would take its place: rename the stage
>   1 | FROM scratch AS base
      |                 ^^^^
    2 | FROM base:1
`},
		{"target", solvetest.Case{Dockerfile: "FROM base:1\n", Edit: func(j *wire.Job) { j.Target = "nope" }},
			wire.FailDockerfile, `
target stage "nope" could not be found
`},
		{"no secret", solvetest.Case{Dockerfile: "FROM base:1\nRUN --mount=type=secret,id=x,required=true true\n"},
			wire.FailDockerfile, `
Dockerfile:2: secret x: not found
    1 | FROM base:1
>   2 | RUN --mount=type=secret,id=x,required=true true
      |                  ^^^^^^
`},
		{"secret not given", solvetest.Case{Dockerfile: "FROM base:1\n",
			Edit: func(j *wire.Job) { j.Secrets = []string{"x"} }},
			wire.FailInput, `
secret x of the job is not on the secrets disk
`},
		{"no key", solvetest.Case{Dockerfile: "FROM base:1\nRUN --mount=type=ssh,required=true true\n"},
			wire.FailDockerfile, `
Dockerfile:2: no SSH key "" forwarded from the client
    1 | FROM base:1
>   2 | RUN --mount=type=ssh,required=true true
`},
		{"insecure", solvetest.Case{Dockerfile: "FROM base:1\nRUN --security=insecure true\n"}, wire.FailDockerfile, `
Dockerfile:2: RUN --security=insecure is not supported in a solve
    1 | FROM base:1
>   2 | RUN --security=insecure true
      |     ^^^^^^^^^^^^^^^^^^^
`},
		{"host network", solvetest.Case{Dockerfile: "FROM base:1\nRUN --network=host true\n"}, wire.FailDockerfile, `
Dockerfile:2: RUN --network=host is not supported in a solve
    1 | FROM base:1
>   2 | RUN --network=host true
      |     ^^^^^^^^^^^^^^
`},
		{"user", solvetest.Case{Dockerfile: "FROM base:1\nUSER nobody\nRUN true\n"}, wire.FailDockerfile, `
Dockerfile:3: process "/bin/sh -c true" did not complete successfully: unable to find user nobody: no matching entries in passwd file
    1 | FROM base:1
    2 | USER nobody
>   3 | RUN true
`},
		{"empty", solvetest.Case{Dockerfile: "\n"}, wire.FailDockerfile, `
Dockerfile:1: file with no instructions
>   1 | 
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := run(t, solvetest.Busybox(t), c.c, wire.Secrets{})
			if o.failure == nil {
				t.Fatal("no failure")
			}
			if o.failure.Kind != c.kind {
				t.Errorf("kind %s, want %s", o.failure.Kind, c.kind)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), o.failure.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMissing has BuildKit end at the first image that it misses: the failure names them all.
func TestMissing(t *testing.T) {
	o := run(t, solvetest.Busybox(t), solvetest.Case{
		Dockerfile: "FROM alpine:3.22 AS a\nFROM base:1\nCOPY --from=a / /a\nCOPY --from=ghcr.io/x/y:1 / /y\n",
	}, wire.Secrets{})
	if o.failure == nil {
		t.Fatal("it is solved")
	}
	if diff := cmp.Diff([]string{"docker.io/library/alpine:3.22", "ghcr.io/x/y:1"}, o.failure.Missing); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, o.failure)
	}
}
