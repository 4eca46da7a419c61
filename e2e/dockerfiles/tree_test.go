package dockerfiles

// treeCases are about what RUN does to the file tree.
var treeCases = []dockerfile{
	{name: "symbolic links", buildah: true, text: `
FROM base:1
RUN ln -s /things/file /absolute && ln -s ../things/dir /home/relative && ln -s none /dangling && ln -s . /self
RUN rm /things/symlink && ln -s dir /things/symlink && ln -sfn empty /things/dirlink
`},
	{name: "hard links", text: `
FROM base:1
RUN echo x > /a && ln /a /b && mkdir /d && ln /a /d/c
RUN ln /things/file /linked-from-base
RUN ln /a /later && echo y >> /b
RUN rm /d/c
`},
	{name: "modes", buildah: true, text: `
FROM base:1
RUN touch /0 /1 /2 /3 && chmod 0000 /0 && chmod 4755 /1 && chmod 2755 /2 && chmod 1644 /3 && mkdir -m 3775 /d && mkdir -m 0 /d0
RUN chmod 700 /things /things/dir/a && chmod u-s /things/setuid
`},
	{name: "owners", buildah: true, text: `
FROM base:1
RUN touch /a /b /c && chown app:extra /a && chown 4294967294:65536 /b && chown -R 7:8 /things/dir && ln -s a /l && chown -h 9:9 /l
`},
	{name: "extended attributes", text: `
FROM base:1
RUN touch /a && xattr /a user.one 1 && xattr /a user.two "2 words" && mkdir /d && xattr /d user.dir d
RUN xattr /things/file user.later x && chmod 600 /a
RUN ! xattr /a trusted.denied x
`},
	{name: "file capabilities", text: `
FROM base:1 AS other
RUN cp /bin/xattr /x && xattr /x security.capability @/etc/capability
FROM base:1
COPY --from=other /x /copied
COPY --from=other --chown=7 /x /owned
RUN --mount=from=other,target=/o mv /copied /moved && cp -a /o/x /as-busybox-copies
`},
	{name: "sparse files", text: `
FROM base:1
RUN truncate -s 3000001 /hole && dd if=/bin/busybox of=/mixed bs=4096 count=2 seek=100 2> /dev/null && truncate -s 900000 /mixed
`},
	{name: "whiteouts", buildah: true, text: `
FROM base:1
RUN rm /things/file /things/dir/a && rmdir /things/empty
RUN rm -r /things/dir
RUN touch /made && mkdir /made-dir
RUN rm -r /made /made-dir
`},
	{name: "opaque folders", buildah: true, text: `
FROM base:1
RUN rm -r /things/dir && mkdir /things/dir && echo new > /things/dir/a
RUN rm -r /things && mkdir -m 711 /things
`},
	{name: "other types in the same place", buildah: true, text: `
FROM base:1
RUN cd /things && rm file && mkdir file && touch file/f && rm -r dir && echo file > dir && rm symlink && mkfifo symlink
RUN cd /things && rm -r file && ln -s dir file && rm fifo && mkdir fifo
`},
	{name: "moved folders", text: `
FROM base:1
RUN mv /things /moved && mv /moved/dir /moved/renamed
RUN mkdir /new && mv /moved/file /new/ && mv /new /newer
`},
	{name: "special files", text: `
FROM base:1
RUN mkdir /s && cd /s && mkfifo -m 622 fifo && mknod char c 5 1 && mknod block b 7 4095 && mknod large c 4095 1048575 && ln fifo fifo2
RUN chown 7:8 /s/char && rm /s/block
`},
	{name: "long and odd names", text: `
FROM base:1
RUN n=$(printf 'n%.0s' $(seq 255)) && touch "/$n" && mkdir -p "/p/$n/$n" && touch "/p/$n/$n/$n" && ln -s "$n/$n" /p/l
RUN touch '/ space' '/back\slash' '/quote"' "/$(printf 'latin\344')" '/-dash' '/*' && touch "/$(printf 'new\nline')"
`},
	{name: "only metadata changes", text: `
FROM base:1
RUN chmod 711 /things/dir && touch /things/dir/a && chown 3:4 /things/dir/sub
RUN true
RUN touch /things
`},
	{name: "step without a system", text: `
FROM scratch
COPY --from=base:1 /bin /bin
RUN ["/bin/ls", "/"]
RUN mkdir -p /proc /sys /dev && touch /dev/null; true
`},
	{name: "large folder", text: `
FROM base:1
RUN mkdir /m && for i in $(seq 1500); do echo $i > /m/$i; done
RUN cd /m && rm 1 20 300 && for i in $(seq 1000 1010); do chmod 600 $i; done
`},
}
