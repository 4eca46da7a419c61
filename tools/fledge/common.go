package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/tools/fledge/internal/build"
	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
	"github.com/fledge-build/fledge/tools/fledge/internal/store"
	"github.com/fledge-build/fledge/tools/fledge/internal/ui"
)

// cacheVariable names the folder of what is kept between runs.
const cacheVariable = "FLEDGE_CACHE"

// commonFlags are those of all commands that fetch and keep things.
type commonFlags struct {
	cache string
}

func (c *commonFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&c.cache, "cache", "", "`folder` of what is kept between builds; by default "+
		cacheVariable+", else fledge/store in the user's cache folder")
}

// folder is the folder of what is kept between runs.
func (c *commonFlags) folder() (string, error) {
	if named := cmp.Or(c.cache, os.Getenv(cacheVariable)); named != "" {
		return filepath.Abs(named)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where to keep things between builds: %w; name a folder with --cache or %s", err, cacheVariable)
	}
	return filepath.Join(user, "fledge", "store"), nil
}

// open opens the folder, which has to be closed, for what gets images.
func (c *commonFlags) open(u *ui.UI) (*pull.Client, *store.Store, error) {
	dir, err := c.folder()
	if err != nil {
		return nil, nil, err
	}
	kept, err := store.Open(dir)
	return &pull.Client{Cache: dir, Note: u.Note}, kept, err
}

// fill opens the folder, which has to be closed, for what gets the images and programs of a build.
func (c *commonFlags) fill(o *build.Options, u *ui.UI) (kept *store.Store, err error) {
	if o.Pull, kept, err = c.open(u); err != nil {
		return nil, err
	}
	o.Cache = o.Pull.Cache
	o.Fetch = &fetch.Client{Cache: o.Cache, Remote: agent.Client{
		Token: os.Getenv("GITHUB_TOKEN"), Note: u.Note, Pauses: agent.DefaultPauses, Stall: agent.DefaultStall,
	}}
	return kept, nil
}

// withRemedy adds what helps to an error of writing to the folder: it may be full, or read-only.
func (c *commonFlags) withRemedy(err error) error {
	dir, folderErr := c.folder()
	if folderErr != nil || !strings.Contains(err.Error(), dir+string(filepath.Separator)) {
		return err
	}
	const other = "--cache or " + cacheVariable + " names another folder"
	switch {
	case cli.NoSpace(err):
		return fmt.Errorf("%w\n`fledge clean` frees what is kept in %s between builds, and %s", err, dir, other)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w\nfledge keeps things between builds in %s, and has to write there; %s", err, dir, other)
	}
	return err
}

// codeDigest stands for all code that builds, this program and what it brings along: what another one kept may have other
// bytes. FLEDGE_PAYLOAD names a payload that is no part of the program.
func codeDigest(p *payload.Payload) (string, error) {
	program, err := programDigest()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, program)
	for _, name := range p.Names() {
		digest, err := p.Digest(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, name, digest)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// programDigest is the SHA-256 of this program's file, in hexadecimal.
func programDigest() (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
