package wire

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxJob is the largest job.json, in bytes.
const MaxJob = 4 << 20

// Kinds of scratch space: where the guest keeps what it builds.
const (
	ScratchTmpfs = "tmpfs" // in memory alone; the default
	ScratchSwap  = "swap"  // in memory, which goes out to the scratch disk as it fills
)

// Job says what to solve. Its zero values are the defaults, but Dockerfile and Arch must be set.
type Job struct {
	Dockerfile string            `json:"dockerfile"`           // name in DockerfileDir
	Target     string            `json:"target,omitempty"`     // stage; the last one by default
	BuildArgs  map[string]string `json:"build_args,omitempty"` // values of ARG
	Labels     map[string]string `json:"labels,omitempty"`     // of the image, besides those of the Dockerfile
	Arch       string            `json:"arch"`                 // amd64 or arm64: of the image and of the machine
	Epoch      int64             `json:"epoch"`                // SOURCE_DATE_EPOCH in seconds: the time of new files
	Images     []Image           `json:"images,omitempty"`     // what FROM and COPY --from may name
	Secrets    []string          `json:"secrets,omitempty"`    // ids; the values are on the secrets disk
	SSH        []string          `json:"ssh,omitempty"`        // ids of keys; --mount=type=ssh alone means "default"
	Network    bool              `json:"network,omitempty"`    // RUN and ADD may use the network
	Scratch    string            `json:"scratch,omitempty"`    // ScratchTmpfs or ScratchSwap
	Cache      *Cache            `json:"cache,omitempty"`      // use the cache and save it; nil does neither
}

// Cache is what the input archive has of BuildKit's cache. A blob of it that a base image has, too, is there only once.
type Cache struct {
	Manifests []string `json:"manifests,omitempty"` // digests, "sha256:…"; the first one counts most
}

// Image is a base image in the input archive.
type Image struct {
	Ref    string `json:"ref"`    // as the Dockerfile has it: "alpine:3.22", "ghcr.io/a/b@sha256:…"
	Store  string `json:"store"`  // its OCI layout is StoresDir/Store; several images may share one
	Digest string `json:"digest"` // of its manifest or index, "sha256:…"
}

// safeName is what names of stores look like: one part of a path, and never "." or "..". idName is for secrets and keys,
// which BuildKit calls like a file that starts with a point if the Dockerfile gives no id: ".npmrc".
var (
	safeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	idName   = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

// IsID tells whether s may be the id of a secret or key.
func IsID(s string) bool { return idName.MatchString(s) }

// Encode checks j and renders it as job.json: the same job gives the same bytes.
func (j Job) Encode() ([]byte, error) {
	if err := j.Check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	if len(b) > MaxJob {
		return nil, fmt.Errorf("the job is %d bytes long, %d may be: shorten its build arguments or labels", len(b), MaxJob)
	}
	return append(b, '\n'), nil
}

// DecodeJob reads what Encode wrote and checks it again.
func DecodeJob(b []byte) (Job, error) {
	var j Job
	if err := decodeJSON(b, &j); err != nil {
		return Job{}, fmt.Errorf("%s: %w", JobFile, err)
	}
	if err := j.Check(); err != nil {
		return Job{}, fmt.Errorf("%s: %w", JobFile, err)
	}
	return j, nil
}

// Check finds what neither half could work with.
func (j Job) Check() error {
	if !plainFile(j.Dockerfile) {
		return fmt.Errorf("dockerfile %q: it must be a file name without a folder", j.Dockerfile)
	}
	if j.Epoch < 0 {
		return fmt.Errorf("epoch %d: it must not be negative", j.Epoch)
	}
	for _, c := range []struct {
		what, value string
		allowed     []string
	}{
		{"arch", j.Arch, []string{"amd64", "arm64"}},
		{"scratch", j.Scratch, []string{"", ScratchTmpfs, ScratchSwap}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			names := strings.TrimPrefix(strings.Join(c.allowed, ", "), ", ")
			return fmt.Errorf("%s %q: it must be one of %s", c.what, c.value, names)
		}
	}
	for key := range j.BuildArgs {
		if key == "" || strings.ContainsAny(key, "=\x00\n") {
			return fmt.Errorf("build argument %q: that is no name", key)
		}
	}
	for key := range j.Labels {
		if key == "" {
			return fmt.Errorf("a label without a name, of value %q", j.Labels[key])
		}
	}
	return j.checkLists()
}

func (j Job) checkLists() error {
	refs := map[string]bool{}
	for _, im := range j.Images {
		switch {
		case im.Ref == "" || strings.ContainsAny(im.Ref, " \t\n\x00"):
			return fmt.Errorf("base image %q: that is no reference", im.Ref)
		case refs[im.Ref]:
			return fmt.Errorf("base image %s is there twice", im.Ref)
		case !safeName.MatchString(im.Store):
			return fmt.Errorf("base image %s: store %q: use letters, digits, '_', '.' and '-'", im.Ref, im.Store)
		case !IsDigest(im.Digest):
			return fmt.Errorf("base image %s: digest %q: it must be sha256: and 64 lower-case hex digits", im.Ref, im.Digest)
		}
		refs[im.Ref] = true
	}
	for _, l := range []struct {
		what string
		ids  []string
	}{{"secret", j.Secrets}, {"ssh key", j.SSH}} {
		seen := map[string]bool{}
		for _, id := range l.ids {
			if !IsID(id) {
				return fmt.Errorf("%s %q: use letters, digits, '_', '.' and '-'", l.what, id)
			}
			if seen[id] {
				return fmt.Errorf("%s %s is there twice", l.what, id)
			}
			seen[id] = true
		}
	}
	if j.Cache != nil {
		for _, d := range j.Cache.Manifests {
			if !IsDigest(d) {
				return fmt.Errorf("cache manifest %q: it must be sha256: and 64 lower-case hex digits", d)
			}
		}
	}
	return nil
}

// plainFile tells whether name is one part of a path; a Dockerfile may have blanks in its name.
func plainFile(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00\n") && len(name) <= 255
}

// IsDigest tells whether s is sha256: and 64 lower-case hex digits.
func IsDigest(s string) bool {
	sum, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(sum) != 64 || strings.ToLower(sum) != sum {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}
