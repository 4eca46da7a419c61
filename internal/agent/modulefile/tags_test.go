package modulefile

import (
	"strings"
	"testing"
)

const dep = "bazel_dep(name = \"fledge\", version = \"0.1.0\")\n"

func TestSetImage(t *testing.T) {
	nginx := Image{Name: "nginx_alpine", Image: "nginx:alpine", Digest: "sha256:" + sumA}
	src, err := SetImage("MODULE.bazel", []byte(dep), nginx)
	if err != nil {
		t.Fatal(err)
	}
	src, err = SetImage("MODULE.bazel", src, Image{Name: "alpine", Image: "alpine@sha256:" + sumB})
	if err != nil {
		t.Fatal(err)
	}
	want := dep + `
fledge = use_extension("@fledge//fledge:extensions.bzl", "fledge")
fledge.image(
    name = "nginx_alpine",
    digest = "sha256:` + sumA + `",
    image = "nginx:alpine",
)
fledge.image(
    name = "alpine",
    image = "alpine@sha256:` + sumB + `",
)
use_repo(fledge, "alpine", "nginx_alpine")
`
	if string(src) != want {
		t.Errorf("got\n%s\nwant\n%s", src, want)
	}
	again, err := SetImage("MODULE.bazel", src, nginx)
	if err != nil || string(again) != want {
		t.Errorf("once more gives\n%s\n%v", again, err)
	}
	nginx.Digest = "sha256:" + sumB
	renewed, err := SetImage("MODULE.bazel", src, nginx)
	if err != nil || string(renewed) != strings.Replace(want, "digest = \"sha256:"+sumA, "digest = \"sha256:"+sumB, 1) {
		t.Errorf("another digest gives\n%s\n%v", renewed, err)
	}
	nginx.Image = "ghcr.io/me/nginx:alpine"
	_, err = SetImage("MODULE.bazel", src, nginx)
	if err == nil || err.Error() != `MODULE.bazel:4: fledge.image "nginx_alpine" is of nginx:alpine, and it would be of `+
		`ghcr.io/me/nginx:alpine: give that one another name` {
		t.Errorf("error %v", err)
	}
}

func TestSetBusybox(t *testing.T) {
	b := Busybox{URL: "https://example.com/busybox", SHA256: sumA}
	arm := "fledge = use_extension(\"@fledge//fledge:extensions.bzl\", \"fledge\")\nfledge.busybox(\n    arch = \"arm64\",\n" +
		"    sha256 = \"" + sumB + "\",\n    url = \"https://example.com/arm\",\n)\n"
	src, err := SetBusybox("MODULE.bazel", []byte(dep+arm), b)
	want := dep + arm + "fledge.busybox(\n    sha256 = \"" + sumA + "\",\n    url = \"https://example.com/busybox\",\n)\n"
	if err != nil || string(src) != want {
		t.Errorf("got\n%s\n%v\nwant\n%s", src, err, want)
	}
	again, err := SetBusybox("MODULE.bazel", src, b)
	if err != nil || string(again) != want {
		t.Errorf("once more gives\n%s\n%v", again, err)
	}
	b.URL = "https://example.com/other"
	if _, err = SetBusybox("MODULE.bazel", src, b); err == nil || !strings.Contains(err.Error(), "a workspace has one") {
		t.Errorf("error %v", err)
	}
}
