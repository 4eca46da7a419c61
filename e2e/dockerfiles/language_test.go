package dockerfiles

// languageCases are about how a Dockerfile is read: stages, variables, heredocs, its own syntax.
var languageCases = []dockerfile{
	{name: "stages", buildah: true, text: `
FROM base:1 AS build
RUN echo built > /out
FROM base:1
COPY --from=build /out /in
`},
	{name: "stages by number and by another's base", text: `
FROM base:1
RUN echo 0 > /zero
FROM scratch AS one
COPY --from=0 /zero /
FROM one
COPY --from=0 /zero /again
`},
	{name: "target", target: "middle", buildah: true, text: `
FROM base:1 AS first
RUN echo 1 > /1
FROM first AS middle
RUN echo 2 > /2
FROM middle AS last
RUN false
`},
	{name: "stage names in other cases", target: "BUILD", text: `
from base:1 as Build
run echo x > /x
FROM base:1
RUN false
`},
	{name: "ARG in FROM", args: map[string]string{"TAG": "1"}, buildah: true, text: `
ARG TAG=none
ARG NAME=base
FROM ${NAME}:${TAG}
ARG TAG
ARG NAME
RUN echo "$TAG $NAME" > /x
`},
	{name: "ARG with and without default", args: map[string]string{"GIVEN": "given", "OVER": "over"}, text: `
FROM base:1
ARG GIVEN
ARG OVER=default
ARG DEFAULT=default FROM_OTHER=$OVER-$GIVEN
ARG UNSET
RUN echo "$GIVEN $OVER $DEFAULT $FROM_OTHER ${UNSET-unset}" > /x
ENV KEPT=$OVER
`},
	{name: "ARG and ENV of one name", args: map[string]string{"V": "arg"}, buildah: true, text: `
FROM base:1
ARG V
RUN echo $V > /1
ENV V=env
RUN echo $V > /2
`},
	{name: "predefined ARG", text: `
FROM base:1
ARG TARGETARCH
ARG TARGETPLATFORM
ARG BUILDPLATFORM
RUN echo $TARGETARCH $TARGETPLATFORM $BUILDPLATFORM > /x
`},
	{name: "expansion", text: `
FROM base:1
ENV A=abc.def.ghi EMPTY=
ENV B='single $A' C="double $A" D=${NONE:-minus} E=${EMPTY-only} F=${A:+plus} G=\$A H=a\ b
ENV I=${A#*.} J=${A##*.} K=${A%.*} L=${A%%.*} M=${A/./_} N=${A//./_}
RUN echo "$A|$B|$C|$D|$E|$F|$G|$H|$I|$J|$K|$L|$M|$N" > /x
WORKDIR /dir/${A%%.*}
COPY ${L}.txt $A
`, context: map[string]string{"abc.txt": "x"}},
	{name: "heredoc in RUN", text: `
FROM base:1
ARG V=1
RUN <<EOF
set -e
echo "a $V" > /a
for i in 1 2; do echo $i >> /b; done
EOF
RUN <<'EOF' cat > /c
$V is not expanded by the builder
EOF
RUN <<-EOT
	echo tabs > /d
	EOT
RUN <<A cat > /e && <<B cat > /f
one
A
two
B
`},
	{name: "heredoc with an interpreter", text: `
FROM base:1
RUN <<EOF
#!/bin/cat
text for another program
EOF
RUN printf '#!/bin/sh\necho $# > /count; cat "$1" > /text\n' > /bin/own && chmod +x /bin/own
RUN <<EOF
#!/bin/own
text
EOF
`},
	{name: "heredoc in COPY", text: `
FROM base:1
ARG V=value
COPY <<EOF /plain
V is $V
EOF
COPY <<"EOF" /quoted
V is $V
EOF
COPY --chmod=0700 --chown=app <<-one <<two /dir/
	tab
	one
second
two
`},
	{name: "escape directive", text: "# escape=`\nFROM base:1\nRUN echo `\n  one > /x\nENV P=C:\\dir\\\nRUN echo $P > /y\n"},
	{name: "comments and continuations", buildah: true, text: `
# a comment
FROM base:1
   # an indented one
RUN echo one \
    # in the middle
    two \

    three > /x
LABEL a=1 \
      b="2 \
3"
ENV WORDS one two   three
`},
	{name: "Unicode", text: `
FROM base:1
COPY grüße-日本.txt /ünï/
RUN echo 'ключ' > "/имя файла"
LABEL "größe"="日本 🙂"
ENV NAMÉ=é
WORKDIR /ünï/日
`, context: map[string]string{"grüße-日本.txt": "ß"}},
	{name: "CRLF", text: "FROM base:1\r\nRUN echo a > /a\r\nENV A=1\r\n"},
	{name: "labels from outside", labels: map[string]string{"outside": "2", "inside": "over"}, text: `
FROM base:1
LABEL inside=1 base=2
`},
	{name: "FROM scratch", buildah: true, text: `
FROM scratch
COPY a /
ENTRYPOINT ["/a"]
`, context: map[string]string{"a": "a"}},
}
