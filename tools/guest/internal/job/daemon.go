//go:build linux

package job

import (
	"context"
	"fmt"
	"net/url"

	"github.com/moby/buildkit/client"
)

// Daemon says how to reach a buildkitd.
type Daemon struct {
	Address    string // as buildctl has it
	CA         string // file of the certificates that its own is checked with; "" for a connection without TLS
	ServerName string // in its certificate; the address's host by default
	Cert, Key  string // files of the certificate and key that it asks for, if it does
}

func (d Daemon) connect(ctx context.Context) (*client.Client, error) {
	u, err := url.Parse(d.Address)
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("buildkitd %q: it must be an address like unix:///run/buildkit/buildkitd.sock", d.Address)
	}
	opts, err := commandDialer(d.Address)
	if err != nil {
		return nil, fmt.Errorf("buildkitd at %s: %w", d.Address, err)
	}
	if d.CA != "" {
		name := d.ServerName
		if name == "" {
			name = u.Hostname()
		}
		opts = append(opts, client.WithServerConfig(name, d.CA))
	}
	if d.Cert != "" || d.Key != "" {
		opts = append(opts, client.WithCredentials(d.Cert, d.Key))
	}
	c, err := client.New(ctx, d.Address, opts...)
	if err == nil {
		_, err = c.Info(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("buildkitd at %s: %w", d.Address, err)
	}
	return c, nil
}
