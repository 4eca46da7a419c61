package pull

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

const (
	dockerHub    = "docker.io"
	dockerHubAPI = "registry-1.docker.io"        // the host that answers for it
	dockerHubKey = "https://index.docker.io/v1/" // what docker login and credential helpers know it by

	helperTimeout = time.Minute // a helper may have to unlock a key ring
	maxAnswer     = 1 << 20     // bytes of a helper's answer
)

// authFile is docker's config.json, or podman's auth.json: containers-auth.json(5).
type authFile struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredsStore  string                     `json:"credsStore"`
	CredHelpers map[string]string          `json:"credHelpers"`
}

// credentials are those for a repository, and where they were looked for.
type credentials struct {
	auth     authn.Authenticator // nil: there are none
	source   string              // the file or helper that has them
	searched []string            // each place that has none, with the reason
}

func (c *credentials) String() string {
	if c.auth != nil {
		return "those of " + c.source
	}
	return "none; looked in " + strings.Join(c.searched, "; ")
}

// findCredentials looks for the user's credentials for a repository. The standard keychain of go-containerregistry
// cannot say where it looked, takes one file alone, and has no entries for a part of a registry.
func findCredentials(ctx context.Context, host, repository string) *credentials {
	found := &credentials{}
	for _, path := range authPaths() {
		auth, source, notes := askFile(ctx, path, host, repository)
		if auth != nil {
			found.auth, found.source = auth, source
			return found
		}
		found.searched = append(found.searched, path+": "+strings.Join(notes, "; "))
	}
	if len(found.searched) == 0 {
		found.searched = []string{"nowhere: none of HOME, DOCKER_CONFIG, REGISTRY_AUTH_FILE and XDG_RUNTIME_DIR is set"}
	}
	return found
}

// authPaths are the files that may have credentials, in the order in which they are asked.
func authPaths() []string {
	var paths []string
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		paths = append(paths, filepath.Join(dir, "config.json"))
	} else if home := os.Getenv("HOME"); home != "" {
		paths = append(paths, filepath.Join(home, ".docker", "config.json"))
	}
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		paths = append(paths, file)
	} else if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "containers", "auth.json"))
	}
	return paths
}

// askFile asks the registry's credential helper, the helper for all, and the file's own entries, in this order.
func askFile(ctx context.Context, path, host, repository string) (a authn.Authenticator, source string, notes []string) {
	file, err := readAuthFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", []string{"no such file"}
	}
	if err != nil {
		return nil, "", []string{err.Error()}
	}
	var helpers []string
	if key, ok := findKey(file.CredHelpers, host, repository); ok {
		helpers = append(helpers, file.CredHelpers[key])
	}
	if file.CredsStore != "" {
		helpers = append(helpers, file.CredsStore)
	}
	for _, name := range helpers {
		helper := "docker-credential-" + name
		auth, err := askHelper(ctx, helper, host)
		if err == nil {
			return auth, helper, nil
		}
		notes = append(notes, err.Error())
	}
	if key, ok := findKey(file.Auths, host, repository); ok {
		auth, err := readEntry(file.Auths[key])
		if err == nil {
			return auth, path, nil
		}
		notes = append(notes, fmt.Sprintf("the entry %s %v", key, err))
	}
	if len(notes) == 0 {
		notes = []string{"no entry for " + host}
	}
	return nil, "", notes
}

func readAuthFile(path string) (*authFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, ocilayout.MaxJSON))
	if err != nil {
		return nil, err
	}
	var file authFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("it is not the JSON of a config.json or auth.json")
	}
	return &file, nil
}

// findKey finds the most specific entry of a repository: keys are registries, or registries with a part of the
// repository.
func findKey[V any](entries map[string]V, host, repository string) (string, bool) {
	keys := map[string]string{}
	for k := range entries {
		if n := normalKey(k); keys[n] < k { // the same one of two whatever the map's order
			keys[n] = k
		}
	}
	for name := host + "/" + repository; ; {
		if key, ok := keys[name]; ok {
			return key, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return "", false
		}
		name = name[:i]
	}
}

// normalKey brings the forms in which tools write a registry into one: host[:port][/path].
func normalKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	key = strings.TrimSuffix(strings.TrimSuffix(key, "/v1"), "/v2")
	host, path, slash := strings.Cut(key, "/")
	if host == "index.docker.io" || host == dockerHubAPI {
		host = dockerHub
	}
	if slash {
		return host + "/" + path
	}
	return host
}

// readEntry reads an entry of auths. An empty one only says that a helper has the credentials.
func readEntry(raw json.RawMessage) (authn.Authenticator, error) {
	var config authn.AuthConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, errors.New("cannot be read") // what cannot be read may be a password
	}
	if config == (authn.AuthConfig{}) {
		return nil, errors.New("has no credentials")
	}
	return authn.FromConfig(config), nil
}

// askHelper runs a credential helper: https://github.com/docker/docker-credential-helpers#development.
func askHelper(ctx context.Context, helper, host string) (authn.Authenticator, error) {
	path, err := exec.LookPath(helper)
	if err != nil || strings.ContainsRune(helper, '/') {
		return nil, fmt.Errorf("%q is not on PATH", helper)
	}
	key := host
	if host == dockerHub {
		key = dockerHubKey
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "get")
	cmd.Stdin = strings.NewReader(key)
	cmd.WaitDelay = time.Second // for helpers that leave someone behind with their output
	out := limited{max: maxAnswer}
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if strings.Contains(out.String(), "credentials not found") { // the protocol's own words
			return nil, fmt.Errorf("%s has no entry for %s", helper, host)
		}
		return nil, fmt.Errorf("%s get: %w", helper, err)
	}
	return readAnswer(out.Bytes(), helper)
}

func readAnswer(out []byte, helper string) (authn.Authenticator, error) {
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("%s printed no JSON with Username and Secret", helper)
	}
	switch {
	case answer.Secret == "":
		return nil, fmt.Errorf("%s printed no Secret", helper)
	case answer.Username == "<token>":
		return authn.FromConfig(authn.AuthConfig{IdentityToken: answer.Secret}), nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: answer.Username, Password: answer.Secret}), nil
}

// limited keeps the first bytes of what is written to it.
type limited struct {
	bytes.Buffer
	max int
}

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), l.max-l.Len())])
	return len(p), nil
}
