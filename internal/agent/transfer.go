package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// MaxProgram is how large a program may be, in bytes.
const MaxProgram = 512 << 20

// request is a file to fetch.
type request struct {
	url      string
	accept   string // media type; "" is any
	max      int64  // bytes
	size     int64  // bytes that it must have; -1: any
	progress bool   // whether to tell the client's Progress
}

// Sink takes a file, again from its start after a Reset.
type Sink interface {
	io.Writer
	Reset()
}

// read fetches a small file.
func (c *Client) read(ctx context.Context, r request) ([]byte, error) {
	var out bytes.Buffer
	err := c.transfer(ctx, r, &out)
	return out.Bytes(), err
}

// transfer fetches a file into out. It tries again when a server fails, stalls or cuts off, and goes on where it was
// when the server can do that.
func (c *Client) transfer(ctx context.Context, r request, out Sink) error {
	u, err := checkURL(r.url)
	if err != nil {
		return err
	}
	if r.size > r.max {
		return fmt.Errorf("has %d bytes, and at most %d are taken", r.size, r.max)
	}
	client, err := c.httpClient()
	if err != nil {
		return err
	}
	t := &transfer{Client: c, http: client, request: r, out: out}
	for attempt := 0; ; attempt++ {
		err := t.attempt(ctx)
		var final refusal
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.error
		case ctx.Err() != nil:
			return ctx.Err()
		case attempt == len(c.Pauses):
			return fmt.Errorf("%w (attempt %d, the last)", err, attempt+1)
		}
		c.note("%s: %v; trying again in %s", u.Host, err, c.Pauses[attempt])
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.Pauses[attempt]):
		}
	}
}

// transfer is a file on its way.
type transfer struct {
	*Client
	request
	http *http.Client
	out  Sink
	done int64  // bytes that out has
	etag string // of the file that they are of; "" when it cannot be gone on with
}

// attempt asks for what is missing. Errors are a refusal, or worth another attempt.
func (t *transfer) attempt(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watchdog := time.AfterFunc(t.Stall, func() { cancel(fmt.Errorf("%w for %s", errStalled, t.Stall)) })
	defer watchdog.Stop()

	resp, err := t.send(ctx)
	if err == nil {
		defer resp.Body.Close()
		err = t.receive(resp, watchdog)
	}
	if stalled := context.Cause(ctx); err != nil && errors.Is(stalled, errStalled) {
		return stalled
	}
	// What package net/http adds to errors is the URL, with the signatures that file stores put into theirs.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func (t *transfer) send(ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, refusal{err}
	}
	req.Header.Set("User-Agent", "fledge-agentfetch")
	req.Header.Set("Accept-Encoding", "identity") // the checksum is that of the file
	if t.accept != "" {
		req.Header.Set("Accept", t.accept)
	}
	if t.done > 0 && t.etag == "" {
		t.restart()
	}
	if t.done > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", t.done))
		req.Header.Set("If-Range", t.etag)
	}
	return t.http.Do(req)
}

func (t *transfer) restart() {
	t.out.Reset()
	t.done, t.etag = 0, ""
}

// receive reads an answer.
func (t *transfer) receive(resp *http.Response, watchdog *time.Timer) error {
	switch resp.StatusCode {
	case http.StatusOK:
		t.restart()
	case http.StatusPartialContent:
		var from, to int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/", &from, &to); err != nil || from != t.done {
			t.restart()
			return errors.New("the server sent another part of the file than it was asked for")
		}
	case http.StatusRequestedRangeNotSatisfiable:
		t.restart()
		return errors.New("the file has become shorter")
	default:
		return statusError(resp)
	}
	if tag := resp.Header.Get("Etag"); !strings.HasPrefix(tag, "W/") { // weak ones are for other bytes too
		t.etag = tag
	}
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = t.done + resp.ContentLength
	}
	if err := t.checkSize(total); err != nil {
		return err
	}
	if err := t.copy(resp.Body, total, watchdog); err != nil {
		return err
	}
	if t.size >= 0 && t.done != t.size {
		return refusal{fmt.Errorf("has %d bytes, and the release says %d", t.done, t.size)}
	}
	return nil
}

// checkSize refuses a file by the size that it has or will have.
func (t *transfer) checkSize(total int64) error {
	if total > t.max {
		return refusal{fmt.Errorf("has more than %d bytes", t.max)}
	}
	if t.size >= 0 && total > t.size {
		return refusal{fmt.Errorf("has more than the %d bytes that the release says", t.size)}
	}
	return nil
}

func (t *transfer) copy(body io.Reader, total int64, watchdog *time.Timer) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := body.Read(buffer)
		watchdog.Reset(t.Stall)
		t.done += int64(n)
		if tooLarge := t.checkSize(t.done); tooLarge != nil {
			return tooLarge
		}
		if _, err := t.out.Write(buffer[:n]); err != nil {
			return refusal{err}
		}
		if t.progress && t.Progress != nil && n > 0 {
			t.Progress(t.done, total)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cut off after %d bytes: %w", t.done, err)
		}
	}
}

// statusError tells what a server's refusal means.
func statusError(resp *http.Response) error {
	if limited := rateLimit(resp, time.Now()); limited != nil {
		return refusal{limited}
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // only to tell more
	err := fmt.Errorf("%s answers %d %s%s", resp.Request.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode),
		errorMessage(body))
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		return refusal{errNotFound}
	case code == http.StatusUnauthorized:
		return refusal{fmt.Errorf("%w: the token in GITHUB_TOKEN is wrong, or the server wants one", err)}
	case code == http.StatusRequestTimeout || code >= 500:
		return err
	}
	return refusal{err}
}
