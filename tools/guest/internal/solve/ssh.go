package solve

import (
	"fmt"
	"os"
	"slices"

	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// sshAgents makes an agent with one key for each id: what ssh in a RUN --mount=type=ssh talks to. The keys never leave
// memory: BuildKit reads them from a file, which is one without a name.
func sshAgents(ids []string, keys map[string][]byte) (session.Attachable, error) {
	var agents []sshprovider.AgentConfig
	for _, id := range ids {
		key, ok := keys[id]
		if !ok {
			return nil, fmt.Errorf("ssh key %s of the job is not on the secrets disk", id)
		}
		if _, err := ssh.ParseRawPrivateKey(key); err != nil {
			return nil, fmt.Errorf("ssh key %s: %w: give an unencrypted private key", id, err)
		}
		fd, err := unix.MemfdCreate("fledge-ssh", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("ssh key %s: %w", id, err)
		}
		f := os.NewFile(uintptr(fd), id)
		defer f.Close()
		// BuildKit reads up to 100 KiB, and wants the line feed at the end.
		if _, err := f.Write(append(slices.Clone(key), '\n')); err != nil {
			return nil, fmt.Errorf("ssh key %s: %w", id, err)
		}
		agents = append(agents, sshprovider.AgentConfig{ID: id, Paths: []string{fmt.Sprintf("/proc/self/fd/%d", fd)}})
	}
	return sshprovider.NewSSHAgentProvider(agents)
}
