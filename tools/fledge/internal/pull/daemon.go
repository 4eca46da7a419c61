package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fledge-build/fledge/internal/cli"
	"github.com/fledge-build/fledge/internal/ocilayout"
)

// daemon is a docker or podman service that answers Docker's Engine API on a socket.
type daemon struct {
	socket string
	http   *http.Client
}

// daemonImage is an image of a daemon.
type daemonImage struct {
	*daemon
	id string // sha256:HEX
}

// sockets are where daemons listen, in the order in which they are asked.
func sockets() ([]string, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, ok := strings.CutPrefix(host, "unix://")
		if !ok {
			return nil, fmt.Errorf("DOCKER_HOST is %.100q, and only a daemon of this machine (unix://SOCKET) is asked; save the "+
				"image there with docker save, and take it as docker-archive:TAR", host)
		}
		return []string{path}, nil
	}
	all := []string{"/var/run/docker.sock"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, filepath.Join(dir, "podman", "podman.sock"))
	}
	return append(all, "/run/podman/podman.sock"), nil
}

func newDaemon(socket string) *daemon {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &daemon{socket, &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}}
}

// get asks a daemon: https://docs.docker.com/reference/api/engine/
func (d *daemon) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL's host is made up
		}
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // only to tell more
	var refused struct{ Message string }
	if json.Unmarshal(body, &refused) != nil || refused.Message == "" {
		refused.Message = http.StatusText(resp.StatusCode)
	}
	return nil, fmt.Errorf("%d: %.300s", resp.StatusCode, refused.Message)
}

// inspect finds an image: the first daemon that has it.
func (c *Client) inspect(ctx context.Context, ref Reference) (daemonImage, error) {
	all, err := sockets()
	if err != nil {
		return daemonImage{}, fmt.Errorf("%s: %w", ref, err)
	}
	var tried []string
	for _, socket := range all {
		d := newDaemon(socket)
		id, err := d.imageID(ctx, ref.text)
		if err == nil {
			return daemonImage{d, id}, nil
		}
		if ctx.Err() != nil {
			return daemonImage{}, ctx.Err()
		}
		d.http.CloseIdleConnections()
		tried = append(tried, "\n  "+socket+": "+err.Error())
	}
	return daemonImage{}, fmt.Errorf("%s: no daemon gave it; asked were%s\nStart docker, or podman's service "+
		"(systemctl --user start podman.socket), or say where it is with DOCKER_HOST=unix://SOCKET; docker images lists what there is",
		ref, strings.Join(tried, ""))
}

func (d *daemon) imageID(ctx context.Context, name string) (string, error) {
	resp, err := d.get(ctx, "/images/"+(&url.URL{Path: name}).EscapedPath()+"/json")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var image struct {
		ID string `json:"Id"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, ocilayout.MaxJSON)).Decode(&image); err != nil {
		return "", fmt.Errorf("the answer is no JSON: %w", err)
	}
	id := "sha256:" + strings.TrimPrefix(image.ID, "sha256:")
	if !isHex(strings.TrimPrefix(id, "sha256:")) {
		return "", fmt.Errorf("the image's ID is %.80q, not sha256: and 64 hexadecimal digits", image.ID)
	}
	return id, nil
}

// pullDaemon saves an image of a daemon into the cache, as docker save does.
func (c *Client) pullDaemon(ctx context.Context, ref Reference, digest, platform string) (*Image, error) {
	id := digest
	if id == "" {
		var err error
		if id, err = c.Resolve(ctx, ref, platform); err != nil {
			return nil, err
		}
	}
	if own := ref.digest(); own != "" && ref.named == nil && own != id {
		return nil, fmt.Errorf("%s was pinned to %s; fledge update pins it anew", ref, id)
	}
	path := filepath.Join(c.images(), strings.TrimPrefix(id, "sha256:")+".tar")
	if im, err := openSaved(path, id, platform); err == nil {
		c.progress(Progress{Reference: ref.String(), Digest: id, Done: 1, Total: 1, Cached: true})
		return c.fromLayout(im, id, path)
	}
	byID, err := c.inspect(ctx, Reference{Transport: Daemon, text: id})
	if err != nil {
		return nil, fmt.Errorf("%s, pinned to %s: %w", ref, id, err)
	}
	defer byID.http.CloseIdleConnections()
	if err := c.save(ctx, byID, ref, path); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", ref, byID.socket, err)
	}
	im, err := openSaved(path, id, platform)
	if err != nil {
		return nil, fmt.Errorf("%s: as %s saves it: %w", ref, byID.socket, err)
	}
	return c.fromLayout(im, id, path)
}

func openSaved(path, id, platform string) (*ocilayout.Image, error) {
	im, err := ocilayout.Open(path, platform)
	if err != nil {
		return nil, err
	}
	if !im.Is(id) {
		im.Close()
		return nil, fmt.Errorf("%s has the image %s, not %s", path, im.Digest(), id)
	}
	return im, nil
}

func (c *Client) save(ctx context.Context, from daemonImage, ref Reference, path string) error {
	resp, err := from.get(ctx, "/images/get?names="+url.QueryEscape(from.id))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p := Progress{Reference: ref.String(), Digest: from.id, Total: -1}
	return cli.WriteKept(path, 0o644, func(f *os.File) error {
		_, err := io.Copy(f, io.TeeReader(resp.Body, writerFunc(func(b []byte) {
			p.Done += int64(len(b))
			c.progress(p)
		})))
		return err
	})
}

// writerFunc is told of bytes that pass.
type writerFunc func([]byte)

func (w writerFunc) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
