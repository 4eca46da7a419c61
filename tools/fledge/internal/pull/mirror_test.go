package pull

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestMirror(t *testing.T) {
	home := isolate(t)
	origin, second := startRegistry(t, true), startRegistry(t, false)
	image, other := randomImage(t, "amd64", 1000, 2), randomImage(t, "amd64", 1000, 1)
	origin.push(t, "team/app:1", image)
	origin.push(t, "team/rare:1", other)
	second.push(t, "copies/app:1", image)
	proxy := startMisbehavingProxy(t, second)
	conf := filepath.Join(home, "registries.conf")
	set := func(text string) {
		text = strings.NewReplacer("ORIGIN", origin.Addr, "MIRROR", proxy.addr).Replace(text)
		write(t, conf, text)
	}
	login := fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, origin.Addr, user, password)
	write(t, filepath.Join(home, ".docker", "config.json"), login)
	const rule = "[[registry]]\nlocation = 'ORIGIN/team'\n[[registry.mirror]]\nlocation = 'MIRROR/copies'\n"

	set(rule)
	c, _ := newClient(t)
	ref := origin.Addr + "/team/app:1"
	checkLayers(t, mustPull(t, c, ref, "", amd64), image)
	if len(proxy.seen()) == 0 {
		t.Error("the mirror was not asked")
	}

	// What the mirror has not comes from the registry, with its credentials, which the mirror never sees.
	checkLayers(t, mustPull(t, c, origin.Addr+"/team/rare:1", "", amd64), other)
	for _, r := range proxy.seen() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the mirror got credentials with %s", r.URL)
		}
	}
	mustFail(t, c, origin.Addr+"/team/none:1", "", amd64, "mirror:      "+proxy.addr, "repository:  copies/none",
		"registry:    "+origin.Addr, "repository:  team/none", "404 Not Found")

	proxy.set(func() {})
	set(rule + "pull-from-mirror = 'digest-only'\n")
	digest, err := c.Resolve(t.Context(), mustParse(t, ref), amd64)
	if err != nil || len(proxy.seen()) > 0 {
		t.Errorf("asked the mirror for a tag: %v", err)
	}
	fresh, _ := newClient(t)
	checkLayers(t, mustPull(t, fresh, ref, digest, amd64), image)
	if len(proxy.seen()) == 0 {
		t.Error("the mirror was not asked for a digest")
	}

	set("[[registry]]\nprefix = 'app.example.com'\nlocation = 'ORIGIN/team'\n")
	checkLayers(t, mustPull(t, c, "app.example.com/app:1", "", amd64), image)
	set("[[registry]]\nprefix = 'ORIGIN'\nblocked = true\n")
	mustFail(t, c, ref, "", amd64, conf+" blocks "+origin.Addr)
	set("[[registry]\n")
	mustFail(t, c, ref, "", amd64, conf+": line 1, column 11")

	// A mirror that nobody answers for does no harm.
	set("[[registry]]\nlocation = 'ORIGIN'\n[[registry.mirror]]\nlocation = '127.0.0.1:1'\n")
	fresh, _ = newClient(t)
	checkLayers(t, mustPull(t, fresh, ref, "", amd64), image)
}

// TestPlaces: containers-registries.conf(5), "Remapping and mirroring registries".
func TestPlaces(t *testing.T) {
	for _, tt := range []struct {
		conf, image, want string // want: the places' names, after a + where plain http is fine, or the error
	}{
		{"", "nginx", "docker.io/library/nginx"},
		{"[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'mirror.example.com/hub/'\ninsecure = true\n",
			"nginx", "+mirror.example.com/hub/library/nginx docker.io/library/nginx"},
		{"[[registry]]\nprefix = 'example.com/foo'\nlocation = 'internal.example.com/bar'\ninsecure = true\n",
			"example.com/foo/image:latest", "+internal.example.com/bar/image"},
		{"[[registry]]\nprefix = 'example.com/foo'\nlocation = 'internal.example.com/bar'\n",
			"example.com/food/image", "example.com/food/image"},
		{"[[registry]]\nprefix = 'example.com'\nlocation = 'a.example.com'\n" +
			"[[registry]]\nprefix = 'example.com/foo'\nlocation = 'b.example.com'\n", "example.com/foo/image", "b.example.com/image"},
		{"[[registry]]\nprefix = '*.example.com'\nlocation = 'mirror.example.com'\n",
			"a.example.com/x/y", "mirror.example.com/x/y"},
		{"[[registry]]\nprefix = '*.example.com'\n[[registry.mirror]]\nlocation = 'mirror.net/all'\n",
			"a.example.com/x", "mirror.net/all/x a.example.com/x"},
		{"[[registry]]\nprefix = '*.example.com'\nlocation = 'mirror.example.com'\n", "example.com/x", "example.com/x"},
		{"[[registry]]\nprefix = 'example.com/foo:old'\nlocation = 'archive.example.com/foo:old'\n",
			"example.com/foo:old", "archive.example.com/foo"},
		{"[[registry]]\ninsecure = true\n", "x", "[[registry]] number 1 has neither prefix nor location"},
		{"[[registry]]\nlocation = 'x.com'\n[[registry.mirror]]\nlocation = 'y.com'\npull-from-mirror = 'never'\n", "x",
			`pull-from-mirror of y.com is "never"; there are all, digest-only and tag-only`},
		{"[[registry]]\nlocation = 'x.com'\n[[registry.mirror]]\ninsecure = true\n", "x",
			"[[registry.mirror]] number 1 of x.com has no location"},
		{"[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'no where'\n", "nginx",
			"host: location no where: "},
	} {
		got, err := placesOf(tt.conf, tt.image)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s\n%s: %s, want %s", tt.conf, tt.image, got, tt.want)
		}
	}
}

func placesOf(conf, image string) (string, error) {
	rules, err := parseRules([]byte(conf))
	if err != nil {
		return "", err
	}
	for i := range rules {
		rules[i].file = "host"
	}
	r, err := ParseReference(image, "")
	if err != nil {
		return "", err
	}
	all, err := places(r.named, rules)
	var names []string
	for _, p := range all {
		name := p.name.Name()
		if p.insecure {
			name = "+" + name
		}
		names = append(names, name)
	}
	return strings.Join(names, " "), err
}

func FuzzRules(f *testing.F) {
	f.Add("[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = 'mirror.example.com/hub/'\n", "nginx:1")
	f.Add("[[registry]]\nprefix = '*.example.com'\nblocked = true\n", "a.example.com/x@sha256:"+strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, conf, image string) {
		r, err := ParseReference(image, "")
		if err != nil || r.Transport != Registry {
			return
		}
		rules, err := parseRules([]byte(conf))
		if err != nil {
			return
		}
		if all, err := places(r.named, rules); err == nil && len(all) == 0 {
			t.Error("no place at all")
		}
	})
}
