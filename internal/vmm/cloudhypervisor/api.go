package cloudhypervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// dialInterval is how often a socket is tried that does not exist yet.
const dialInterval = 5 * time.Millisecond

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// api is Cloud Hypervisor's, on a Unix socket.
type api struct {
	client http.Client
}

// newAPI waits with its first request until the socket takes connections or ended is closed.
func newAPI(socket string, ended <-chan struct{}) *api {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		for {
			c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if err == nil {
				return c, nil
			}
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-ended:
				return nil, err
			case <-time.After(dialInterval):
			}
		}
	}
	return &api{http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

func (a *api) close() { a.client.CloseIdleConnections() }

// put sends a request; body may be nil. What Cloud Hypervisor says when it refuses becomes the error.
func (a *api) put(ctx context.Context, action string, body any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://localhost/api/v1/"+action, content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode/100 != 2 {
		return &refusal{fmt.Sprintf("Cloud Hypervisor refuses %s (%s)%s", action, resp.Status, reason(answer))}
	}
	return err
}

// refusal is an answer that tells of an error.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// reason is an error answer as text to follow an error's: a JSON list of causes, or what older versions print.
func reason(answer []byte) string {
	text := string(answer)
	var causes []string
	if json.Unmarshal(answer, &causes) == nil {
		text = strings.Join(causes, ": ")
	}
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return ""
	}
	return ": " + text
}
