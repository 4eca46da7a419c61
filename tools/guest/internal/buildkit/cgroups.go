//go:build linux

package buildkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cgroupMount is where the machine has its cgroups.
const cgroupMount = "/sys/fs/cgroup"

// controllers are those that limits and the count of OOM kills need.
var controllers = []string{"memory", "pids", "cpu", "cpuset"}

// cgroups are the cgroups (version 2) of the steps. They are nil where the machine has none, or none to write to: steps
// then run without, and a limit is an error.
type cgroups struct{ dir string }

func openCgroups() *cgroups {
	var st unix.Statfs_t
	if unix.Statfs(cgroupMount, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	dir := filepath.Join(cgroupMount, "fledge")
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil
	}
	for _, d := range []string{cgroupMount, dir} {
		for _, c := range controllers { // one by one: a kernel may lack some
			os.WriteFile(filepath.Join(d, "cgroup.subtree_control"), []byte("+"+c), 0)
		}
	}
	return &cgroups{dir}
}

// cgroup is that of a step, or nil.
type cgroup struct{ f *os.File }

// create makes a cgroup with the limits that a step asks for.
func (c *cgroups) create(id string, limits *specs.LinuxResources) (*cgroup, error) {
	values := limitFiles(limits)
	if c == nil {
		if len(values) > 0 {
			return nil, errors.New("this step asks for resource limits, but the build machine has no cgroups")
		}
		return nil, nil
	}
	dir := filepath.Join(c.dir, id)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cgroup of the step: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	g := &cgroup{f}
	for _, v := range values {
		if err := os.WriteFile(filepath.Join(dir, v[0]), []byte(v[1]), 0); err != nil {
			g.remove()
			return nil, fmt.Errorf("limit of the step: %w", err)
		}
	}
	return g, nil
}

// limitFiles are the files of a cgroup to write, with their values.
func limitFiles(r *specs.LinuxResources) (files [][2]string) {
	if r == nil {
		return nil
	}
	if m := r.Memory; m != nil && m.Limit != nil {
		files = append(files, [2]string{"memory.max", strconv.FormatInt(*m.Limit, 10)})
		if m.Swap != nil && *m.Swap >= *m.Limit { // the specification's swap includes the memory
			files = append(files, [2]string{"memory.swap.max", strconv.FormatInt(*m.Swap-*m.Limit, 10)})
		}
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares >= 2 { // 2 to 262144 become 1 to 10000
			files = append(files, [2]string{"cpu.weight", strconv.FormatUint(1+(*c.Shares-2)*9999/262142, 10)})
		}
		if c.Quota != nil && *c.Quota > 0 {
			period := uint64(100000)
			if c.Period != nil && *c.Period > 0 {
				period = *c.Period
			}
			files = append(files, [2]string{"cpu.max", fmt.Sprintf("%d %d", *c.Quota, period)})
		}
		if c.Cpus != "" {
			files = append(files, [2]string{"cpuset.cpus", c.Cpus})
		}
		if c.Mems != "" {
			files = append(files, [2]string{"cpuset.mems", c.Mems})
		}
	}
	return files
}

func (g *cgroup) dir() *os.File {
	if g == nil {
		return nil
	}
	return g.f
}

// oomKills counts the processes that the kernel ended for want of memory.
func (g *cgroup) oomKills() int {
	if g == nil {
		return 0
	}
	b, _ := os.ReadFile(filepath.Join(g.f.Name(), "memory.events"))
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(strings.TrimSpace(n))
			return kills
		}
	}
	return 0
}

// remove removes the cgroup, whose processes are gone.
func (g *cgroup) remove() {
	if g != nil {
		os.Remove(g.f.Name())
		g.f.Close()
	}
}
