package dockerfiles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
)

// aTree is a context with folders, and a program in bin.
var aTree = map[string]string{
	"a.txt": "A", "b.txt": "BB", "c.md": "C", "bin/tool": "#!/bin/sh\n", "dir/x": "x", "dir/sub/y": "y", "dir/sub/z.md": "z",
	"dir.d/w": "w", "spaced name": "s", "[odd]": "odd",
}

// copyCases are about COPY and ADD.
var copyCases = []dockerfile{
	{name: "COPY files and folders", context: aTree, buildah: true, text: `
FROM base:1
COPY a.txt /file
COPY a.txt b.txt /into/
COPY dir /folder
COPY dir /things/dir/
COPY . /all
WORKDIR /w
COPY a.txt .
COPY bin/tool ./deeper/
`},
	{name: "COPY onto what is there", context: aTree, text: `
FROM base:1
COPY a.txt /things/file
COPY b.txt /things/symlink
COPY dir /things/dirlink
COPY a.txt /things/empty
`},
	{name: "COPY with wildcards", context: aTree, text: `
FROM base:1
COPY *.txt /star/
COPY ?.md /mark/
COPY dir*/ /dirs/
COPY d*r/s* /sub/
COPY [ab].txt /class/
COPY none* a.txt /some/
COPY ["spaced name", "/spaced/"]
COPY [[]odd] /odd
`},
	{name: "COPY --chown", context: aTree, buildah: true, text: `
FROM base:1
COPY --chown=app a.txt /1
COPY --chown=app:extra a.txt /2
COPY --chown=7 a.txt /4
COPY --chown=7:8 dir /new/dir
COPY --chown=2000000000:70000 a.txt /big
ARG WHO=app
COPY --chown=$WHO:$WHO a.txt /5
`},
	{name: "COPY --chmod", context: aTree, text: `
FROM base:1
COPY --chmod=0751 a.txt /1
COPY --chmod=4711 a.txt /2
COPY --chmod=0 a.txt /3
COPY --chmod=700 dir /dir
COPY --chmod=1777 dir/ /things/empty/
COPY --chmod=u=rwX,go=rX dir /symbolic
COPY --chmod=g+s,a+x a.txt /4
`},
	{name: "COPY --link", context: aTree, text: `
FROM base:1 AS other
RUN mkdir /t && ln -s nowhere /t/l && echo h > /t/1 && ln /t/1 /t/2
FROM base:1
COPY --link a.txt /link/a
COPY --link dir /things/
COPY --link --chown=7:8 --chmod=0600 b.txt /link/b
COPY --link --from=other /t /t
`},
	{name: "COPY --from a stage", buildah: true, text: `
FROM base:1 AS other
RUN mkdir -p /t/d && ln -s d /t/l && echo 1 > /t/d/f && chown 7:8 /t/d/f && chmod 4750 /t/d/f && mkfifo /t/p && ln /t/d/f /t/h
FROM base:1
COPY --from=other /t /t
COPY --from=other /t/l /followed
COPY --from=other /t/d/f /t/h /files/
COPY --from=other --chown=app /t/d /owned
`},
	{name: "COPY --from an image", buildah: true, text: `
FROM scratch
COPY --from=base:1 /things /things
COPY --from=base:1 /etc/passwd /
`},
	{name: "COPY --exclude", context: aTree, text: `
FROM base:1
COPY --exclude=**/*.md --exclude=dir.d . /1
COPY --exclude=*.txt --exclude=!a.txt . /2
COPY --from=base:1 --exclude=dir /things /3
ADD --exclude=sub dir /4
`},
	{name: "COPY --parents", context: aTree, text: `
FROM base:1
COPY --parents a.txt dir/sub/y /1/
COPY --parents dir/./sub/y /2/
COPY --parents **/*.md /3/
COPY --from=base:1 --parents /things/./dir/sub /etc/passwd /4/
COPY --parents --exclude=**/z.md dir /5/
`},
	{name: "ADD local files", context: aTree, text: `
FROM base:1
ADD a.txt dir /1/
ADD --chown=app --chmod=0600 b.txt /2
ADD *.md /3/
`},
	{name: "ADD local archives", text: `
FROM base:1
ADD files.tar /plain/
ADD files.tgz /things/
ADD --chown=7:8 files.tgz /owned/
ADD --unpack=false files.tar /kept/
COPY files.tar /copied/
ADD not.tar /not/
`, context: map[string]string{"files.tar": archive(false), "files.tgz": archive(true), "not.tar": "no archive"}},
	{name: "dockerignore with negation", text: `
FROM base:1
COPY . /all
COPY dir /dir
`, context: merged(aTree, map[string]string{".dockerignore": "# comment\n*.txt\n!b.txt\ndir/*\n!dir/sub\n**/*.md\n/bin\n"})},
	{name: "Dockerfile.dockerignore", ignore: "*\n!dir\ndir/**/y\n", text: `
FROM base:1
COPY . /all
`, context: merged(aTree, map[string]string{".dockerignore": "dir\n"})},
	{name: "COPY to the root and over links", text: `
FROM base:1
RUN ln -s /real /link && mkdir /real && ln -s missing/deep /dangling
COPY dir /link/
COPY a.txt /dangling/x
COPY dir /
`, context: aTree},
}

// archive is a tar archive with all that one has, compressed or not.
func archive(compressed bool) string {
	var b bytes.Buffer
	out := io.WriteCloser(gzip.NewWriter(&b))
	if !compressed {
		out = nopCloser{&b}
	}
	w := tar.NewWriter(out)
	for _, h := range []tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 5, Gid: 6},
		{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o4711, Uid: 1000, Gid: 1001, Size: 2},
		{Name: "d/hard", Typeflag: tar.TypeLink, Linkname: "d/f"},
		{Name: "d/soft", Typeflag: tar.TypeSymlink, Linkname: "f", Mode: 0o777},
		{Name: "dir", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "implied/f", Typeflag: tar.TypeReg, Mode: 0o600, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}},
		{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o622},
		{Name: "dev", Typeflag: tar.TypeChar, Mode: 0o600, Devmajor: 1, Devminor: 3},
	} {
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		w.Write([]byte("hi")[:h.Size])
	}
	w.Close()
	out.Close()
	return b.String()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func merged(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
