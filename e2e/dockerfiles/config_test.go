package dockerfiles

// configCases are about the image's configuration.
var configCases = []dockerfile{
	{name: "what a base passes on", buildah: true, text: `
FROM base:1
RUN touch /x
`},
	{name: "ENV", buildah: true, text: `
FROM base:1
ENV A=1 PATH=/first:$PATH
ENV A=2 FROM_BASE=no EMPTY=
ENV OLD form with   blanks
`},
	{name: "LABEL", buildah: true, text: `
FROM base:1
ARG V=v
LABEL a=1 "b c"="d e" f="$V" base=over
LABEL old form
LABEL multi="one\
two"
`},
	{name: "EXPOSE", text: `
FROM base:1
ARG PORT=9000
EXPOSE 80 443/tcp 53/udp
EXPOSE $PORT
EXPOSE 7000-7002
`},
	{name: "VOLUME", text: `
FROM base:1
RUN mkdir /before && touch /before/kept
VOLUME /before /v1
VOLUME ["/v2", "/with blank"]
RUN touch /before/after && mkdir -p /v1 && touch /v1/x
`},
	{name: "STOPSIGNAL", buildah: true, text: `
FROM base:1
ARG S=SIGTERM
STOPSIGNAL $S
STOPSIGNAL 9
`},
	{name: "HEALTHCHECK", text: `
FROM base:1
HEALTHCHECK CMD true
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --start-interval=2s --retries=4 CMD ["check", "it"]
`},
	{name: "HEALTHCHECK NONE", text: `
FROM base:1
HEALTHCHECK CMD true
HEALTHCHECK NONE
`},
	{name: "ONBUILD", text: `
FROM base:1 AS parent
ONBUILD RUN echo triggered > /triggered
ONBUILD COPY a /from-trigger
ONBUILD ENV TRIGGERED=1
FROM parent
RUN cat /triggered > /after
`, context: map[string]string{"a": "a"}},
	{name: "ONBUILD in the result", text: `
FROM base:1
ONBUILD RUN make
ONBUILD COPY --from=base:1 /x /y
ONBUILD LABEL a="b c"
`},
	{name: "CMD and ENTRYPOINT", buildah: true, text: `
FROM base:1 AS parent
ENTRYPOINT ["parent"]
CMD ["of", "parent"]
FROM parent AS child
ENTRYPOINT ["child"]
FROM child
CMD ["last", "one"]
CMD ["really", "last", "\"quoted\""]
`},
	{name: "ENTRYPOINT takes the base's CMD away", text: `
FROM base:1
ENTRYPOINT ["own"]
`},
	{name: "CMD in shell form", buildah: true, text: `
FROM base:1
CMD echo $HOME && exec something
`},
	{name: "MAINTAINER", text: `
FROM base:1
MAINTAINER Somebody <s@example.com>
`},
	{name: "settings alone", buildah: true, text: `
FROM base:1
USER app:extra
WORKDIR /
ENV A=b
`},
}
