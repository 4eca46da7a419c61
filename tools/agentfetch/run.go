package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/semver"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/agent/modulefile"
	"github.com/fledge-build/fledge/internal/cli"
)

// tool is what a run works with.
type tool struct {
	client    *agent.Client
	token     string
	workspace string    // the folder of the default MODULE.bazel, "" outside of bazel run
	dir       string    // what a relative --module-file is relative to, "" for the working directory
	out       io.Writer // what was found and written
	progress  *progress // how far it is
}

// run does what the command line says.
func (t *tool) run(ctx context.Context, args []string) error {
	o, err := parse(args, t.workspace, t.progress.w)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(o.file) {
		o.file = filepath.Join(t.dir, o.file)
	}
	tag, err := readTag(o)
	if err != nil {
		return err
	}
	repository := cmp.Or(o.repository, tag.Repository, agent.Repository)
	t.client.API = o.api
	t.client.Token = t.token
	t.client.Note = t.progress.note
	t.client.Progress = t.progress.bytes
	if o.check {
		return t.check(ctx, o, tag, repository)
	}
	source := agent.Source{
		Repository: repository, Version: o.version, URL: o.url, Assets: tag.Assets, Archs: o.archs,
	}
	pin := t.client.PinRelease
	if o.url != "" {
		pin = t.client.PinURL
	}
	got, err := pin(ctx, source)
	if err != nil {
		return err
	}
	return t.write(o.file, tag, got)
}

// readTag gives the tag to work on, with nothing but a name when the file has none.
func readTag(o *options) (modulefile.Agent, error) {
	none := modulefile.Agent{}
	src, err := readFile(o.file)
	if err != nil {
		return none, err
	}
	tags, err := modulefile.Agents(o.file, src)
	if err != nil {
		return none, err
	}
	var names []string
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	name, err := o.choose(names)
	if err != nil {
		return none, err
	}
	for _, tag := range tags {
		if tag.Name == name {
			return tag, nil
		}
	}
	return modulefile.Agent{Name: name}, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, modulefile.MaxSize+1))
}

// check tells whether there is a newer release.
func (t *tool) check(ctx context.Context, o *options, tag modulefile.Agent, repository string) error {
	if tag.Version == "" {
		return fmt.Errorf("%s: fledge.agent %q has no version, so there is nothing to compare with", o.file, tag.Name)
	}
	release, err := t.client.Release(ctx, repository, "latest")
	if err != nil {
		return err
	}
	if !newer(release.Tag, tag.Version) {
		fmt.Fprintf(t.out, "fledge.agent %q: %s is up to date; the latest release is %s\n",
			tag.Name, tag.Version, release.Tag)
		return nil
	}
	fmt.Fprintf(t.out, "fledge.agent %q: %s is pinned, and %s is the latest release\n",
		tag.Name, tag.Version, release.Tag)
	return errNewer
}

// newer compares tags: by semantic versioning where both are of it, else any other one is newer.
func newer(latest, pinned string) bool {
	if semver.IsValid(latest) && semver.IsValid(pinned) {
		return semver.Compare(latest, pinned) > 0
	}
	return latest != pinned
}

// write puts what was found into the file.
func (t *tool) write(path string, tag modulefile.Agent, pin *agent.Pin) error {
	tag.Version, tag.URL, tag.SHA256, tag.Repository = pin.Version, pin.URL, pin.SHA256, pin.Repository
	if tag.Repository == agent.Repository {
		tag.Repository = "" // the attribute's default
	}
	path, err := filepath.EvalSymlinks(path) // or the rename would put a file in the link's place
	if err != nil {
		return err
	}
	src, err := readFile(path) // again: fetching took its time
	if err != nil {
		return err
	}
	edited, err := modulefile.Set(path, src, tag)
	if err != nil {
		return err
	}
	if bytes.Equal(src, edited) {
		fmt.Fprintf(t.out, "%s: fledge.agent %q is up to date\n", path, tag.Name)
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := cli.WriteKept(path, info.Mode().Perm(), func(f *os.File) error {
		_, err := f.Write(edited)
		return err
	}); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s: fledge.agent %q is now %s\n", path, tag.Name, cmp.Or(pin.Version, pin.URL))
	return nil
}
