//go:build linux

package job

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/connhelper"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer" // podman-container://
	_ "github.com/moby/buildkit/client/connhelper/ssh"             // ssh://
)

// commandDialer connects through the command that the address's scheme stands for; none if it stands for no command.
func commandDialer(address string) ([]client.ClientOpt, error) {
	helper, err := connhelper.GetConnectionHelper(address)
	if helper == nil || err != nil {
		return nil, err
	}
	return []client.ClientOpt{client.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := helper.ContextDialer(ctx, addr)
		if err != nil {
			return nil, err
		}
		return explained{c}, nil
	})}, nil
}

// explained is a connection through a command, which says why the command ended to whoever reads.
type explained struct{ net.Conn }

// Write of a command that has ended fails with the command's own words, and not with a broken pipe.
func (c explained) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		if _, why := c.Conn.Read(make([]byte, 1)); why != nil && !errors.Is(why, io.EOF) {
			return n, why
		}
	}
	return n, err
}
