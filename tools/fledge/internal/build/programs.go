package build

import (
	"context"
	"fmt"
	"slices"

	"github.com/fledge-build/fledge/internal/recipe"
	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/lockfile"
)

// agent gives the file of the agent: of this machine, or one that the lock pins, or what the recipe names now, which goes
// into the lock.
func (t *task) agent(ctx context.Context) (file string, err error) {
	a := t.Recipe.Agent
	if a.Strategy == recipe.Local {
		return t.path(a.Path), nil
	}
	if a.Checksum != "" { // the recipe pins it
		file, _, err := t.fetchAgent(ctx, t.Arch, fetch.Pin{})
		return file, err
	}
	source := agentSource(a)
	pin := fetch.Pin{}
	pin.Version, pin.SHA256 = t.pins.lock.Agent(source, t.Arch)
	if pin.SHA256 == "" && t.Locked {
		return "", t.pins.drift(fmt.Sprintf("the agent (%s) for %s is not in it", source, t.Arch))
	}
	file, now, err := t.fetchAgent(ctx, t.Arch, pin)
	if err != nil {
		return "", err
	}
	if now != pin {
		t.pins.setAgent(source, t.Arch, now)
	}
	return file, nil
}

func agentSource(a *recipe.Agent) string {
	if a.Strategy == recipe.HTTP {
		return a.URL
	}
	return lockfile.ReleaseSource(a.Repository, a.Version)
}

func (t *task) fetchAgent(ctx context.Context, arch string, pin fetch.Pin) (string, fetch.Pin, error) {
	step := t.UI.Step("fetch the agent")
	defer step.End()
	t.Fetch.Remote.Progress = step.Progress
	file, now, err := t.Fetch.Agent(ctx, t.Recipe.Agent, arch, pin)
	if err != nil {
		return "", now, err
	}
	step.Done("%s", pinned(now))
	return file, now, nil
}

// busybox gives the file of busybox: Fledge's own, or that of the recipe, which the lock pins where the recipe does not.
func (t *task) busybox(ctx context.Context) (file string, err error) {
	src := t.Recipe.Source
	pin := fetch.Pin{SHA256: src.BusyboxSHA256}
	locks := src.BusyboxURL != "" && src.BusyboxSHA256 == ""
	if locks {
		pin.SHA256 = t.pins.lock.BusyboxSHA(src.BusyboxURL)
	}
	if locks && pin.SHA256 == "" && t.Locked {
		return "", t.pins.drift("busybox " + src.BusyboxURL + " is not in it")
	}
	file, now, err := t.fetchBusybox(ctx, pin)
	if err == nil && locks && now.SHA256 != pin.SHA256 {
		t.pins.setBusybox(src.BusyboxURL, now.SHA256)
	}
	return file, err
}

func (t *task) fetchBusybox(ctx context.Context, pin fetch.Pin) (string, fetch.Pin, error) {
	step := t.UI.Step("fetch busybox")
	defer step.End()
	t.Fetch.Remote.Progress = step.Progress
	file, now, err := t.Fetch.Busybox(ctx, t.Recipe.Source.BusyboxURL, t.Arch, pin)
	if err != nil {
		return "", now, err
	}
	step.Done("%s", pinned(now))
	return file, now, nil
}

// updateAgent pins the agent anew: the same version for all architectures that the lock has it for, and for that of t.
func (t *task) updateAgent(ctx context.Context) (changes []Change, err error) {
	source := agentSource(t.Recipe.Agent)
	archs := append(t.pins.lock.AgentArchs(source), t.Arch)
	slices.Sort(archs)
	now := map[string]fetch.Pin{}
	version := ""
	for _, arch := range slices.Compact(archs) {
		_, pin, err := t.fetchAgent(ctx, arch, fetch.Pin{Version: version})
		if err != nil {
			return nil, err
		}
		version, now[arch] = pin.Version, pin
		c := Change{What: source, Arch: arch, Now: pinned(pin)}
		if version, sum := t.pins.lock.Agent(source, arch); sum != "" {
			c.Was = pinned(fetch.Pin{Version: version, SHA256: sum})
		}
		changes = append(changes, c)
	}
	for arch, pin := range now {
		t.pins.setAgent(source, arch, pin)
	}
	return changes, nil
}

// updateBusybox pins busybox anew.
func (t *task) updateBusybox(ctx context.Context) (c Change, err error) {
	c.What = t.Recipe.Source.BusyboxURL
	was := t.pins.lock.BusyboxSHA(c.What)
	_, now, err := t.fetchBusybox(ctx, fetch.Pin{})
	if err != nil {
		return c, err
	}
	if was != "" {
		c.Was = pinned(fetch.Pin{SHA256: was})
	}
	c.Now = pinned(now)
	if now.SHA256 != was {
		t.pins.setBusybox(c.What, now.SHA256)
	}
	return c, nil
}

// pinned says what a program is: "v0.7.3, sha256:…".
func pinned(p fetch.Pin) string {
	if p.Version == "" {
		return "sha256:" + p.SHA256
	}
	return p.Version + ", sha256:" + p.SHA256
}
