package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fledge-build/fledge/internal/solve"
)

// withHint adds to a failure what has to be declared so that the images it misses are there.
func withHint(err error) error {
	var failure *solve.Error
	if !errors.As(err, &failure) || len(failure.Missing) == 0 {
		return err
	}
	var b strings.Builder
	b.WriteString("FROM and COPY --from find declared images alone. In MODULE.bazel:\n\n")
	var entries []string
	for _, ref := range failure.Missing {
		name := repositoryName(ref)
		fmt.Fprintf(&b, "    fledge.image(\n        name = %q,\n        image = %q,\n    )\n    use_repo(fledge, %[1]q)\n", name, ref)
		entries = append(entries, fmt.Sprintf("%q: %q", familiar(ref), "@"+name))
	}
	fmt.Fprintf(&b, "\n(the first build tells the digest to pin) and in the rule:\n\n    base_images = {%s},\n", strings.Join(entries, ", "))
	return fmt.Errorf("%w%s", err, b.String())
}

// familiar is a reference as a Dockerfile has it.
func familiar(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}

// repositoryName is a name for a reference: "alpine_3_22". Bazel wants a letter first.
func repositoryName(ref string) string {
	name, _, _ := strings.Cut(familiar(ref), "@")
	name = strings.TrimSuffix(name, ":latest")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
	if name == "" || name[0] < 'a' {
		return "image_" + name
	}
	return name
}
