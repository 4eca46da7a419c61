package lockfile

import "fmt"

// Drift says in words, a line each, how what a build would take now differs from the lock; nothing when it does not.
// Checksums that the lock has for other architectures are no difference.
func (l *Lock) Drift(now *Lock) []string {
	l, now = orEmpty(l), orEmpty(now)
	var d drift
	for _, i := range now.Images {
		d.pin("image "+i.Reference, l.Image(i.Reference), i.Digest)
	}
	for _, i := range l.Images {
		d.unused("image "+i.Reference, now.Image(i.Reference) != "")
	}
	for _, a := range now.Agents {
		d.agent(l.agent(a.Source), a)
	}
	for _, a := range l.Agents {
		d.unused("agent "+a.Source, now.agent(a.Source) != nil)
	}
	for _, b := range now.Busybox {
		d.pin("busybox "+b.URL, prefixed(l.BusyboxSHA(b.URL)), prefixed(b.SHA256))
	}
	for _, b := range l.Busybox {
		d.unused("busybox "+b.URL, now.BusyboxSHA(b.URL) != "")
	}
	return d
}

func orEmpty(l *Lock) *Lock {
	if l == nil {
		return &Lock{}
	}
	return l
}

func prefixed(sum string) string {
	if sum == "" {
		return ""
	}
	return "sha256:" + sum
}

type drift []string

func (d *drift) pin(what, locked, now string) {
	switch locked {
	case now:
	case "":
		*d = append(*d, what+" is not in the lock")
	default:
		*d = append(*d, fmt.Sprintf("%s: locked %s, now %s", what, locked, now))
	}
}

func (d *drift) unused(what string, used bool) {
	if !used {
		*d = append(*d, what+" is in the lock and no longer used")
	}
}

func (d *drift) agent(locked *Agent, now Agent) {
	switch {
	case locked == nil:
		*d = append(*d, "agent "+now.Source+" is not in the lock")
	case locked.Version != now.Version:
		d.pin("agent "+now.Source, locked.Version, now.Version)
	default:
		for _, arch := range now.archs() {
			d.pin("agent "+now.Source+" for "+arch, prefixed(locked.SHA256[arch]), prefixed(now.SHA256[arch]))
		}
	}
}
