package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fledge-build/fledge/internal/ocilayout"
)

// imageDefaults is what the image's configuration says for fields that manifest.toml leaves out.
type imageDefaults struct{ ocilayout.Execution }

// entrypoint is the command that the image runs.
func (i imageDefaults) entrypoint() ([]string, error) {
	command := slices.Concat(i.Entrypoint, i.Cmd)
	for _, s := range command {
		if err := checkArgument(s); err != nil {
			return nil, fmt.Errorf("Entrypoint and Cmd: %q %w", s, err)
		}
	}
	if len(command) > 0 && command[0] == "" {
		return nil, errors.New("Entrypoint and Cmd must begin with the program to run")
	}
	return command, nil
}

// ports lists the exposed ports, the lowest first.
func (i imageDefaults) ports() ([]Port, error) {
	var out []Port
	for _, key := range slices.Sorted(maps.Keys(i.ExposedPorts)) {
		number, protocol, _ := strings.Cut(key, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("ExposedPorts: %q is not a port such as 80/tcp", key)
		}
		p := Port{Port: int64(n), Protocol: cmp.Or(strings.ToLower(protocol), "tcp")}
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			return nil, fmt.Errorf("ExposedPorts: %q is neither a tcp nor a udp port", key)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return out, nil
}

// env is the image's environment; of a variable that is there twice, the last value counts.
func (i imageDefaults) env() (map[string]string, error) {
	out := make(map[string]string, len(i.Env))
	for _, e := range i.Env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			return nil, fmt.Errorf("Env: %q is not NAME=value", e)
		}
		if err := checkEnv(name, value); err != nil {
			return nil, fmt.Errorf("Env: %q %w", e, err)
		}
		out[name] = value
	}
	return out, nil
}

func (i imageDefaults) workDir() (string, error) {
	if i.WorkingDir == "" {
		return "", nil
	}
	if err := checkAbsolute(i.WorkingDir); err != nil {
		return "", fmt.Errorf("WorkingDir = %q %w", i.WorkingDir, err)
	}
	return i.WorkingDir, nil
}

// localURL is where the first tcp port is reached from within the machine, "" when there is none.
func (n Network) localURL() string {
	for _, p := range n.Expose {
		if p.Protocol == "tcp" {
			return "http://localhost:" + strconv.FormatInt(p.Port, 10)
		}
	}
	return ""
}
