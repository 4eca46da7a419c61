package naming

import (
	"strings"
	"testing"
)

func TestOfImage(t *testing.T) {
	for reference, want := range map[string]string{
		"nginx:alpine":                      "nginx",
		"nginx":                             "nginx",
		"docker://ghcr.io/acme/web-app:1.2": "web-app",
		"localhost:5000/web":                "web",
		"localhost:5000/team/Web.App@sha256:0123":         "web-app",
		"nginx:alpine@sha256:0123":                        "nginx",
		"docker-daemon:app:1":                             "app",
		"oci:layouts/web":                                 "web",
		"oci:layouts/web:latest":                          "web",
		"oci-archive:out/web.tar":                         "web",
		"oci-archive:out/web.tar.gz:v1":                   "web",
		"docker-archive:Web App.tgz":                      "web-app",
		"oci:.":                                           "image",
		"docker://example.com/" + strings.Repeat("a", 80): strings.Repeat("a", 63),
	} {
		if got := OfImage(reference); got != (Names{want + "-rootfs", want}) {
			t.Errorf("%s: %+v, want %s", reference, got, want)
		}
	}
}

func TestOf(t *testing.T) {
	if got := Of("web", "/home/me/x"); got != (Names{"web", "web"}) {
		t.Errorf("%+v", got)
	}
	if got := Of("", "/home/me/My App/"); got != (Names{"my-app", "my-app"}) {
		t.Errorf("%+v", got)
	}
	if got := OfFolder("/"); got != "image" {
		t.Errorf("%q", got)
	}
}
