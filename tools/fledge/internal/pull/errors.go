package pull

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// fetchError says that no place gave a part of an image: what was asked of whom, with which credentials, and what helps.
type fetchError struct {
	request
	pull *registryPull
	errs map[*endpoint]error // the last of each that was asked
}

func (f *fetchError) Unwrap() []error {
	var all []error
	for _, e := range f.pull.endpoints {
		if err := f.errs[e]; err != nil {
			all = append(all, err)
		}
	}
	return all
}

func (f *fetchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no %s", f.pull.ref, f.what)
	for _, e := range f.pull.endpoints {
		if err := f.errs[e]; err != nil {
			f.describe(&b, e, err)
		}
	}
	return b.String()
}

func (f *fetchError) describe(b *strings.Builder, e *endpoint, err error) {
	kind := "registry:"
	if e.mirror {
		kind = "mirror:"
	}
	id := "digest:"
	if f.byTag {
		id = "tag:"
	}
	fmt.Fprintf(b, "\n  %-12s %s\n  %-12s %s\n  %-12s %s", kind, e.host, "repository:", e.repository, id, f.id)
	found := e.credentials()
	if found != nil {
		fmt.Fprintf(b, "\n  %-12s %s", "credentials:", found)
	}
	fmt.Fprintf(b, "\n  %-12s %s", "answer:", answer(err))
	if remedy := f.remedy(e, err, found); remedy != "" {
		fmt.Fprintf(b, "\n  %-12s %s", "what helps:", remedy)
	}
}

// answer is an error without the URL, which has parameters of the token server in it.
func answer(err error) string {
	var a *transport.Error
	if !errors.As(err, &a) {
		return err.Error()
	}
	text := fmt.Sprintf("%d %s", a.StatusCode, http.StatusText(a.StatusCode))
	if a.Request != nil {
		text += " from " + a.Request.URL.Host
	}
	for _, d := range a.Errors {
		text += fmt.Sprintf("; %.40s: %.200s", d.Code, d.Message)
	}
	return text
}

func (f *fetchError) remedy(e *endpoint, err error, found *credentials) string {
	login := fmt.Sprintf("`docker login %s` or `podman login %[1]s`", e.host)
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		if found != nil && found.auth != nil {
			return "these credentials are wrong or may not pull this repository: " + login + " again"
		}
		return "the registry wants credentials, or has no such repository: " + login
	case http.StatusNotFound:
		kind := "digest"
		if f.byTag {
			kind = "tag"
		}
		return fmt.Sprintf("there is no such repository, or no such %s in it; `skopeo list-tags docker://%s/%s` lists what "+
			"is there", kind, e.host, e.repository)
	case http.StatusTooManyRequests:
		return "wait, log in for a higher limit (" + login + "), or use a mirror (registries.conf)"
	}
	if errors.Is(err, errAltered) {
		return "nothing of it was kept; ask the registry's owner"
	}
	if isPlainServer(err) {
		return "`insecure = true` in a [[registry]] of registries.conf allows plain http"
	}
	var no refusal
	if errors.As(err, &no) {
		return ""
	}
	return "is the network there? Else a proxy (https_proxy) or a mirror (registries.conf); what has come is kept"
}
