package solve

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fledge-build/fledge/internal/imagetest"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

const dockerfile = `FROM busybox:1 as build
ARG WHO=nobody
COPY src /src
RUN --mount=type=secret,id=token wc -c </run/secrets/token >/length
RUN <<EOF
set -e
mkdir /out
echo "hello $WHO from $(cat /src/name)" >/out/text
chown app:app /out/text
ln /out/text /out/linked
EOF

FROM busybox:1
COPY --from=build /out /srv
COPY --from=build /length /srv/
USER app
ENTRYPOINT ["cat", "/srv/text"]
`

// remark is what the frontend says of dockerfile, and all that a quiet solver does.
const remark = "warning: FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)\n"

// TestSolve builds an image in two different machines.
func TestSolve(t *testing.T) {
	k := newKit(t)
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte("very secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"src/name": "the context"}
	more := []string{"--build-arg", "WHO=world", "--secret", "token=" + secret}
	first := k.job(t, dockerfile, files, more...)
	said, err := k.run(t, first)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Log(said)
	if strings.Contains(said, "very secret") {
		t.Error("the secret is in the log")
	}
	want := digests(t, first.out())

	second := k.job(t, dockerfile, files, append(more, "--memory-mb", "512", "--cpus", "1", "--scratch-mb", "0", "--progress", "quiet")...)
	if said, err := k.run(t, second); err != nil || said != remark {
		t.Fatalf("%v\n%s", err, said)
	}
	if diff := cmp.Diff(want, digests(t, second.out())); diff != "" {
		t.Errorf("another machine (-first +second):\n%s", diff)
	}
	checkImage(t, k, first.out()) // last, for it may skip
}

// checkImage checks config and layers of TestSolve's image.
func checkImage(t *testing.T, k kit, layout string) {
	t.Helper()
	image, err := ocilayout.Open(layout, "")
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	_, c := image.Config()
	if diff := cmp.Diff([]string{"cat", "/srv/text"}, c.Config.Entrypoint); diff != "" || c.Config.User != "app" {
		t.Errorf("config %+v", c)
	}
	base, err := ocilayout.Open(k.base, "")
	if err != nil {
		t.Fatal(err)
	}
	defer base.Close()
	layers := image.Layers()
	if len(layers) != 3 || layers[0].Digest != base.Layers()[0].Digest {
		t.Fatalf("layers %+v: the base's digest should stay", layers)
	}
	imagetest.NeedRoot(t, "umoci")
	var tars []string
	for i, l := range layers {
		tars = append(tars, unzipped(t, filepath.Join(layout, "blobs", strings.Replace(l.Digest, ":", "/", 1)), i > 0))
	}
	rootfs, err := imagetest.Unpack(t, tars...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(rootfs, "srv", "text"))
	if string(text) != "hello world from the context\n" || err != nil {
		t.Errorf("text %q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(rootfs, "srv", "linked"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Nlink != 2 || st.Uid != 1000 || st.Mtim.Sec != 0 {
		t.Errorf("linked: %d links, owner %d, time %d", st.Nlink, st.Uid, st.Mtim.Sec)
	}
	if length, err := os.ReadFile(filepath.Join(rootfs, "srv", "length")); string(length) != "11\n" || err != nil {
		t.Errorf("length %q, %v", length, err)
	}
}

// unzipped gives a layer's tar as a file.
func unzipped(t *testing.T, blob string, zipped bool) string {
	t.Helper()
	if !zipped {
		return blob
	}
	out := filepath.Join(t.TempDir(), "layer.tar")
	if err := os.WriteFile(out, []byte(imagetest.Run(t, "gzip", "-dc", blob)), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNetwork has a step fetch something from the host, which QEMU's network calls 10.0.2.2, and so does ADD.
func TestNetwork(t *testing.T) {
	k := newKit(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served ", r.URL.Path) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	text := fmt.Sprintf("FROM busybox:1\nADD http://10.0.2.2:%s/add /added\nRUN wget -qO- http://10.0.2.2:%[1]s/run\n", port)
	said, err := k.run(t, k.job(t, text, nil, "--network"))
	if err != nil || !strings.Contains(said, "| served /run") {
		t.Errorf("%v\n%s", err, said)
	}
}
