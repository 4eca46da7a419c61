package solvetest

import (
	"archive/tar"
	"bytes"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Matrix has one Dockerfile for each part of the language. All succeed and give the same bytes with every BuildKit;
// they need the secret "token".
var Matrix = []struct {
	Name string
	Case Case
}{
	{"from scratch", Case{Dockerfile: "FROM scratch\nCOPY a /a\n", Context: ab}},
	{"run shell form", of("RUN echo $0 > /x && chmod 4755 /x\n")},
	{"run exec form", of("RUN [\"touch\", \"/a b\"]\n")},
	{"run heredoc", of("RUN <<EOF\nset -e\necho one > /a\nEOF\n")},
	{"run heredoc with an interpreter", of("RUN <<EOF\n#!/bin/busybox ash\necho $0 | wc -c > /a\nEOF\n")},
	{"continuation and comments", of("RUN echo a \\\n# not here\n  b \\\n  > /x\n")},
	{"escape directive", Case{Dockerfile: "# escape=`\nFROM base:1\nRUN echo `\n a > /x\n"}},
	{"syntax directive", Case{Dockerfile: "# syntax=docker/dockerfile:1\nFROM base:1\nRUN true\n"}},
	{"multi-stage", Case{Dockerfile: "FROM base:1 AS a\nRUN echo a > /a\nFROM base:1\n" +
		"COPY --from=a /a /b\nCOPY --from=0 /a /c\n"}},
	{"stage from a stage", Case{Dockerfile: "FROM base:1 AS a\nRUN echo a > /a\nENV A=1\nFROM a\nRUN echo $A > /b\n"}},
	{"target", Case{Dockerfile: "FROM base:1 AS a\nRUN echo a > /a\nFROM a AS b\nRUN false\n",
		Edit: func(j *wire.Job) { j.Target = "a" }}},
	{"copy from an image", of("COPY --from=base:1 /etc/passwd /p\n")},
	{"arg in from", Case{Dockerfile: "ARG V=2\nFROM base:${V}\nARG V\nRUN echo $V > /x\n",
		Edit: func(j *wire.Job) { j.BuildArgs = map[string]string{"V": "1"} }}},
	{"arg defaults and expansion", of("ARG A=x\nARG B=${A:-y}${C:+z}\nENV E=$B\nRUN echo $B > /${A}\n")},
	{"arg of the platform", of("ARG TARGETARCH\nARG TARGETOS\nRUN echo $TARGETOS > /os\n")},
	{"env", of("ENV A=1 B=\"two words\"\nENV C three\nRUN env | grep -E '^(A|B|C)=' | sort > /e\n")},
	{"workdir", of("WORKDIR /a\nWORKDIR b\nRUN pwd > p\n")},
	{"user", of("USER app\nRUN id > /tmp/id; touch /tmp/mine\n")},
	{"user and group by number", of("USER 7:8\nRUN id -u > /tmp/u; id -G >> /tmp/u\n")},
	{"shell", of("SHELL [\"/bin/sh\", \"-ec\"]\nRUN true; echo $- > /x\n")},
	{"copy", with("COPY a b /d/\nCOPY . /all\n")},
	{"copy --chown --chmod", with("COPY --chown=app:extra --chmod=0640 a /x\nCOPY --chown=12:13 b /y\n")},
	{"copy --chmod by letters", with("COPY --chmod=u=rwX,go=rX a /x\n")},
	{"copy --link", with("COPY --link a /deep/down/x\n")},
	{"copy --exclude", with("COPY --exclude=*.md . /c\n")},
	{"copy --parents", with("COPY --parents s/./*/* /p/\n")},
	{"copy heredocs", of("COPY <<X <<\"Y\" /d/\nx $PATH\nX\ny $PATH\nY\n")},
	{"copy with a pattern", with("COPY s/?/*.go /g/\n")},
	{"add", with("ADD a /x\nADD --chown=app b /y\n")},
	{"add unpacks an archive", with("ADD t.tar /t/\n")},
	{"ignore file", Case{Dockerfile: "FROM base:1\nCOPY . /c\n", Context: map[string]string{
		"keep.o": "", "drop.o": "", "d/e.o": "", ".dockerignore": "# not these\n**/*.o\n!keep.o\n"}}},
	{"ignore file of the Dockerfile", Case{Dockerfile: "FROM base:1\nCOPY . /c\n", Context: ab, Ignore: "a\n"}},
	{"named context", Case{Dockerfile: "FROM base:1\nCOPY --from=assets a /a\n" +
		"RUN --mount=from=assets,target=/m cp /m/b /b\n",
		Contexts: map[string]map[string]string{"assets": ab}}},
	{"mount bind", with("RUN --mount=target=/m,source=s,rw cp -r /m /n; touch /m/gone\n")},
	{"mount bind from a stage", Case{Dockerfile: "FROM base:1 AS a\nRUN echo a > /a\nFROM base:1\n" +
		"RUN --mount=type=bind,from=a,source=/a,target=/m/a cat /m/a > /x\n"}},
	{"mount cache", of("RUN --mount=type=cache,target=/c,uid=1000,mode=0700 stat -c '%a %u' /c > /s; " +
		"echo 1 > /c/n\n" +
		"RUN --mount=type=cache,target=/c,uid=1000,mode=0700 cat /c/n >> /s\n")},
	{"mount tmpfs", of("RUN --mount=type=tmpfs,target=/t,size=1m dd if=/dev/zero of=/t/x bs=1M count=2; " +
		"stat -c %s /t/x > /s\n")},
	{"mount secret", secret("RUN --mount=type=secret,id=token stat -c '%a %u' /run/secrets/token > /s\n")},
	{"mount secret as a variable", secret("RUN --mount=type=secret,id=token,env=T echo $T | wc -c > /s\n")},
	{"mount secret that is not required", of("RUN --mount=type=secret,id=none test ! -e /run/secrets/none\n")},
	{"network none", of("RUN --network=none ip -o link | wc -l > /n\n")},
	{"metadata", of("LABEL a=b \"c d\"=e\nEXPOSE 80 53/udp\nVOLUME /v\nSTOPSIGNAL 9\n" +
		"MAINTAINER me\nENTRYPOINT [\"e\"]\nCMD c\n")},
	{"healthcheck and onbuild", of("HEALTHCHECK --interval=5s --retries=2 CMD true\nONBUILD RUN echo later\n")},
	{"labels of the job", Case{Dockerfile: "FROM base:1\n",
		Edit: func(j *wire.Job) { j.Labels = map[string]string{"x": "y"} }}},
	{"special files", of("RUN mknod /n p; mknod /c c 1 3; mknod /b b 7 0; ln -s /a /s; echo 1 > /h; ln /h /i; chmod 0 /h\n")},
	{"removed files", of("RUN rm /etc/group; rm -r /home; mkdir -p /home/new\n")},
	{"a folder becomes a file", of("RUN rm -r /var; echo f > /var; rm /bin/cat; mkdir /bin/cat\n")},
	{"odd names", of("RUN touch \"/$(printf 'a\\nb')\" \"/$(printf '\\377')\" /.wh_ '/ä'\n")},
	{"times", of("RUN touch -d @5 /old; touch -d @2000000000 /new\n")},
	{"zstd", Case{Dockerfile: "FROM base:1\nRUN echo 1 > /x\n", Edit: func(j *wire.Job) { j.Compression = wire.Zstd }}},
}

// ab is a small context; t.tar is an archive with one empty file "in".
var ab = map[string]string{
	"a": "A", "b": "B", "c.md": "C", "s/x/1.go": "1", "s/y/2.go": "2", "s/y/2.md": "m", "t.tar": smallTar(),
}

func of(lines string) Case   { return Case{Dockerfile: "FROM base:1\n" + lines} }
func with(lines string) Case { return Case{Dockerfile: "FROM base:1\n" + lines, Context: ab} }

func secret(lines string) Case {
	return Case{Dockerfile: "FROM base:1\n" + lines, Edit: func(j *wire.Job) { j.Secrets = []string{"token"} }}
}

func smallTar() string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "in", Mode: 0o600, Uid: 5, Gid: 6})
	w.Close()
	return b.String()
}
