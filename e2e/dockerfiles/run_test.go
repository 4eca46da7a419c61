package dockerfiles

// runCases are about RUN and what it runs in.
var runCases = []dockerfile{
	{name: "RUN in shell and exec form", buildah: true, text: `
FROM base:1
RUN echo "shell $HOME" | tr a-z A-Z > /1
RUN ["sh", "-c", "echo exec $0 > /2", "zero"]
RUN ["touch", "/a b", "/$HOME"]
`},
	{name: "SHELL", text: `
FROM base:1
SHELL ["/bin/sh", "-eu", "-c"]
RUN echo $- > /flags
SHELL ["/bin/busybox", "sh", "-c"]
RUN echo $0 > /name
CMD echo in shell form
ENTRYPOINT also in shell form
`},
	{name: "USER", buildah: true, text: `
FROM base:1
RUN chmod 777 /var
USER app
RUN id -u > /var/1 && id -g >> /var/1 && id -G >> /var/1 && echo $HOME >> /var/1
USER app:extra
RUN id -u > /var/2 && id -g >> /var/2
USER 7
RUN id -u > /var/3 && id -g >> /var/3
USER 7:8
RUN id -u > /var/4 && id -G >> /var/4
USER 1000
RUN id -G > /var/5
`},
	{name: "USER and what it makes", text: `
FROM base:1
USER app
WORKDIR /home/app/new/dir
COPY a /home/app/copied
USER 0
RUN touch /made-by-root
USER app
RUN touch /tmp/made-by-app
`, context: map[string]string{"a": "a"}},
	{name: "WORKDIR", buildah: true, text: `
FROM base:1
WORKDIR /a
WORKDIR b/c
RUN pwd > /1
WORKDIR ../d
RUN pwd > /2
ENV DIR=/e
WORKDIR ${DIR}/f
WORKDIR .
`},
	{name: "environment of a step", text: `
FROM base:1
ENV A=1 B="two words"
RUN env | grep -v -e ^OTEL_ -e ^TRACEPARENT | sort > /env
RUN grep -E 'core|stack' /proc/self/limits > /limits; umask > /umask; hostname > /hostname; cat /proc/1/comm > /init
`},
	{name: "rights of a step", text: `
FROM base:1
RUN grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status > /status
USER app
RUN grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status > /tmp/status
`},
	{name: "mounts of a step", text: `
FROM base:1
RUN stat -c '%F %a %u:%g %N' /dev /dev/* | grep -v -e otel -e kcore | sort > /devices; \
    for f in /proc/keys /proc/interrupts /sys/firmware /proc/acpi /proc/scsi; do cat $f | wc -l; ls $f | wc -l; done > /masked 2>&1; \
    grep -E ' (/|/proc|/dev|/dev/(pts|shm|mqueue)|/sys) ' /proc/mounts | cut -d' ' -f2,3 | sort > /mounts; \
    for d in /proc/sys/kernel /sys /dev /; do touch $d/x 2> /dev/null; echo $d $?; done > /writable; rm -f /x
`},
	{name: "RUN --mount=type=bind", text: `
FROM base:1 AS other
RUN echo other > /o
FROM base:1
WORKDIR /w
RUN --mount=type=bind,source=a,target=/m/a cat /m/a > 1
RUN --mount=target=ctx cp ctx/d/b 2 && ! touch ctx/new
RUN --mount=type=bind,from=other,source=/o,target=/o cp /o 3
RUN --mount=type=bind,from=base:1,source=/things,target=/t,rw touch /t/new && ls /t > 4
RUN --mount=type=bind,source=d,target=/deep/er/d true
`, context: map[string]string{"a": "A", "d/b": "B"}},
	{name: "RUN --mount=type=cache", text: `
FROM base:1 AS seed
RUN mkdir /s && echo seed > /s/f
FROM base:1
RUN --mount=type=cache,target=/c,id=matrix-a echo 1 > /c/x && stat -c '%a %u:%g' /c > /1
RUN --mount=type=cache,target=/c,id=matrix-a cat /c/x > /2
RUN --mount=type=cache,target=/c,id=matrix-b,mode=0700,uid=7,gid=8 stat -c '%a %u:%g' /c > /3
RUN --mount=type=cache,target=/s,id=matrix-c,from=seed,source=/s cat /s/f > /4
RUN --mount=type=cache,target=/things,id=matrix-d,sharing=private ls /things > /5
`},
	{name: "RUN --mount=type=tmpfs", text: `
FROM base:1
RUN --mount=type=tmpfs,target=/t grep ' /t ' /proc/mounts | cut -d' ' -f3 > /1 && touch /t/gone
RUN --mount=type=tmpfs,target=/things,size=1m touch /things/gone && ls /things > /2
`},
	{name: "RUN --mount=type=secret", secrets: map[string]string{"token": "s3cret", "other": "0th3r"}, text: `
FROM base:1
RUN --mount=type=secret,id=token stat -c '%a %u:%g %s' /run/secrets/token > /1 && sha256sum < /run/secrets/token > /2
RUN --mount=type=secret,id=token,target=/opt/.token,mode=0440,uid=7,gid=8 stat -c '%a %u:%g' /opt/.token > /3
RUN --mount=type=secret,id=other,env=OTHER echo -n $OTHER | sha256sum > /4
RUN --mount=type=secret,id=missing ls /run/secrets > /5 2>&1; true
`},
	{name: "RUN --network=none", text: `
FROM base:1
RUN --network=none ls /sys/class/net > /1; ! ip route | grep . ; cat /etc/hosts > /2
`},
	{name: "what steps leave of mounts", text: `
FROM base:1
RUN ls -ld /etc/resolv.conf /etc/hosts > /dev/null
RUN rm -f /etc/hosts /etc/resolv.conf; true
RUN --mount=type=tmpfs,target=/new/mount/point true
RUN --mount=type=bind,target=/things/dir/bound true
`},
	{name: "background process", text: `
FROM base:1
RUN (sleep 60; touch /late) & touch /early
`},
}
