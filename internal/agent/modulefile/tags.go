package modulefile

import "github.com/bazelbuild/buildtools/build"

// tag is a tag of Fledge's extension as it is to be.
type tag interface {
	class() string
	repo() string // that use_repo has to name, "" for none
	// find gives the tag that is to become this one, nil when there is none, and whether it is so already.
	find(m *module) (call *build.CallExpr, same bool, err error)
	fill(call *build.CallExpr) // sets the attributes
}

func (a Agent) class() string { return "agent" }
func (a Agent) repo() string  { return a.Name }

func (a Agent) find(m *module) (*build.CallExpr, bool, error) {
	call, err := m.named(a.Name)
	if err != nil || call == nil {
		return nil, false, err
	}
	now, err := m.agent(call)
	return call, now.same(a), err
}

// Image is a fledge.image tag.
type Image struct{ Name, Image, Digest string }

// SetImage is Set for the tag of an image. One of that name for another image is an error.
func SetImage(name string, src []byte, image Image) ([]byte, error) { return apply(name, src, image) }

func (i Image) class() string { return "image" }
func (i Image) repo() string  { return i.Name }

func (i Image) find(m *module) (*build.CallExpr, bool, error) {
	for _, call := range m.tags("image") {
		if name, _ := text(find(call, "name")); name != i.Name {
			continue
		}
		if of, _ := text(find(call, "image")); of != i.Image {
			return nil, false, m.at(call, "fledge.image %q is of %s, and it would be of %s: give that one another name",
				i.Name, of, i.Image)
		}
		digest, _ := text(find(call, "digest"))
		return call, digest == i.Digest, nil
	}
	return nil, false, nil
}

func (i Image) fill(call *build.CallExpr) {
	setText(call, "name", i.Name)
	setText(call, "image", i.Image)
	setText(call, "digest", i.Digest)
}

// Busybox is a fledge.busybox tag for amd64.
type Busybox struct{ URL, SHA256 string }

// SetBusybox is Set for the tag of a busybox. A workspace has one: a tag of another URL is an error.
func SetBusybox(name string, src []byte, busybox Busybox) ([]byte, error) {
	return apply(name, src, busybox)
}

func (b Busybox) class() string { return "busybox" }
func (b Busybox) repo() string  { return "" }

func (b Busybox) find(m *module) (*build.CallExpr, bool, error) {
	for _, call := range m.tags("busybox") {
		if arch, _ := text(find(call, "arch")); arch != "" && arch != "amd64" {
			continue
		}
		if url, _ := text(find(call, "url")); url != b.URL {
			return nil, false, m.at(call, "fledge.busybox is %s, and it would be %s: a workspace has one; remove that tag", url, b.URL)
		}
		sum, _ := text(find(call, "sha256"))
		return call, sum == b.SHA256, nil
	}
	return nil, false, nil
}

func (b Busybox) fill(call *build.CallExpr) {
	setText(call, "url", b.URL)
	setText(call, "sha256", b.SHA256)
}
