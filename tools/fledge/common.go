package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/fledge-build/fledge/internal/agent"
	"github.com/fledge-build/fledge/tools/fledge/internal/build"
	"github.com/fledge-build/fledge/tools/fledge/internal/fetch"
	"github.com/fledge-build/fledge/tools/fledge/internal/payload"
	"github.com/fledge-build/fledge/tools/fledge/internal/pull"
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

// fill completes the options of a build.
func (c *commonFlags) fill(o *build.Options, u *ui.UI) (err error) {
	if o.Cache, err = c.folder(); err != nil {
		return err
	}
	if o.Program, err = programDigest(); err != nil {
		return err
	}
	o.Pull, o.Fetch = newPull(o.Cache, u), newFetch(o.Cache, u)
	o.Payload, err = payload.Open()
	return err
}

func newPull(cache string, u *ui.UI) *pull.Client {
	return &pull.Client{Cache: cache, Note: u.Note}
}

func newFetch(cache string, u *ui.UI) *fetch.Client {
	return &fetch.Client{Cache: cache, Remote: agent.Client{
		Token: os.Getenv("GITHUB_TOKEN"), Note: u.Note, Pauses: agent.DefaultPauses, Stall: agent.DefaultStall,
	}}
}

// programDigest stands for this program: what another one kept may have other bytes.
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
