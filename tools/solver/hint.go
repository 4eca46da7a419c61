package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	var names, entries []string
	for _, ref := range failure.Missing {
		name := repositoryName(ref)
		for n := 2; slices.Contains(names, strconv.Quote(name)); n++ {
			name = fmt.Sprintf("%s_%d", repositoryName(ref), n)
		}
		fmt.Fprintf(&b, "    fledge.image(\n        name = %q,\n        image = %q,\n    )\n", name, ref)
		names = append(names, strconv.Quote(name))
		entries = append(entries, fmt.Sprintf("%q: %q", familiar(ref), "@"+name))
	}
	fmt.Fprintf(&b, "    use_repo(fledge, %s)\n", strings.Join(names, ", "))
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
