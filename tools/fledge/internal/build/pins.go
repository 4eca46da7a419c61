package build

import (
	"errors"
	"fmt"

	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

// pins are what the lock says, and what this build adds to it.
type pins struct {
	path    string
	locked  bool
	lock    *lockfile.Lock
	changed bool
}

func readPins(path string, locked bool) (*pins, error) {
	lock, err := lockfile.Read(path)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		if locked {
			return nil, fmt.Errorf("--locked: there is no %s; build once without --locked, and commit the file", path)
		}
		lock = &lockfile.Lock{}
	}
	return &pins{path: path, locked: locked, lock: lock}, nil
}

// drift is the error of --locked for something that the lock does not have so.
func (p *pins) drift(what string) error {
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
	p.changed = true
	p.lock.SetImage(reference, digest)
	return nil
}

// setAgent pins an agent for an architecture.
func (p *pins) setAgent(source, arch string, pin fetch.Pin) {
	p.changed = true
	p.lock.SetAgent(source, pin.Version, arch, pin.SHA256)
}

func (p *pins) setBusybox(url, sha256 string) {
	p.changed = true
	p.lock.SetBusybox(url, sha256)
}

// save writes the lock if the build added to it.
func (p *pins) save() error {
	if !p.changed {
		return nil
	}
	if p.locked {
		return errors.New("--locked, and the lock would change: that is a fault of fledge")
	}
	return p.lock.Write(p.path)
}
