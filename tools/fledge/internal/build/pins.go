package build

import (
	"fmt"

	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

// pins are what the lock says, and what this build adds to it.
type pins struct {
	path    string
	locked  bool
	none    bool // there is no file
	lock    *lockfile.Lock
	changes []func(*lockfile.Lock)
}

func readPins(path string, locked bool) (*pins, error) {
	lock, err := lockfile.Read(path)
	if err != nil {
		return nil, err
	}
	p := &pins{path: path, locked: locked, lock: lock, none: lock == nil}
	if p.none {
		p.lock = &lockfile.Lock{} // which is all that a recipe needs that names nothing to pin
	}
	return p, nil
}

// drift is the error of --locked for something that the lock does not have so.
func (p *pins) drift(what string) error {
	if p.none {
		return fmt.Errorf("--locked: there is no %s; build once without --locked, and commit the file", p.path)
	}
	return fmt.Errorf("--locked: %s: %s; build without --locked, or run fledge update, and commit the file", p.path, what)
}

// setImage pins an image, if it is not so already.
func (p *pins) setImage(reference, digest string) error {
	had := p.lock.Image(reference)
	switch {
	case had == digest:
		return nil
	case p.locked && had != "":
		return p.drift(fmt.Sprintf("%s is locked at %s, and is %s now", reference, had, digest))
	case p.locked:
		return p.drift(reference + " is not in it")
	}
	p.change(func(l *lockfile.Lock) { l.SetImage(reference, digest) })
	return nil
}

// setAgent pins an agent for an architecture.
func (p *pins) setAgent(source, arch string, pin fetch.Pin) {
	p.change(func(l *lockfile.Lock) { l.SetAgent(source, pin.Version, arch, pin.SHA256) })
}

func (p *pins) setBusybox(url, sha256 string) {
	p.change(func(l *lockfile.Lock) { l.SetBusybox(url, sha256) })
}

func (p *pins) change(set func(*lockfile.Lock)) {
	set(p.lock)
	p.changes = append(p.changes, set)
}

// save writes the lock if the build added to it. What other processes have added meanwhile stays.
func (p *pins) save() error {
	if len(p.changes) == 0 {
		return nil
	}
	if p.locked {
		return p.drift("it would change")
	}
	return lockfile.Change(p.path, func(l *lockfile.Lock) {
		for _, set := range p.changes {
			set(l)
		}
	})
}
