package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// forward gives an address of loopback, HOST:PORT, from which requests go to the server at a Unix socket, so that no port
// has to be guessed free. With grpc it speaks HTTP/2, and has the server's versions widened.
func forward(t *testing.T, socket string, grpc bool) string {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!grpc)
	protocols.SetUnencryptedHTTP2(grpc)
	transport := &http.Transport{
		Protocols: &protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, // messages of a stream go on as they come
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "localhost"})
			if grpc {
				r.Out.Header.Set("Te", "trailers") // without it servers of gRPC refuse
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if grpc {
				endWithTrailers(r)
				if strings.HasSuffix(r.Request.URL.Path, ".Capabilities/GetCapabilities") {
					return widenVersions(r)
				}
			}
			return nil
		},
		Transport: transport,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy, Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); err != http.ErrServerClosed {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
		transport.CloseIdleConnections()
	})
	return listener.Addr().String()
}

// endWithTrailers makes trailers of the status of an answer that is headers alone, as gRPC has it for errors: the proxy may
// send headers before it knows that nothing follows, and a client takes the empty end that then comes for damage.
func endWithTrailers(r *http.Response) {
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Grpc-") {
			if r.Trailer == nil {
				r.Trailer = http.Header{}
			}
			r.Trailer[name] = values
			delete(r.Header, name)
		}
	}
}

// oldestAPI is field 4 of a ServerCapabilities, low_api_version, with the version 2.0: fields 1 and 2 of a SemVer. Of a
// field that comes twice protobuf merges the two messages, and what the later one says counts.
// https://github.com/bazelbuild/remote-apis/blob/main/build/bazel/remote/execution/v2/remote_execution.proto
var oldestAPI = []byte{4<<3 | 2, 4, 1 << 3, 2, 2 << 3, 0}

// widenVersions has the server speak the API's version 2.0, too: buildbox says that its oldest is 2.1, and Bazel 7, which
// asks for 2.0 and needs nothing newer, gives up. The answer is one message: a byte, 0 for one that is not compressed, its
// length in four, and it.
func widenVersions(r *http.Response) error {
	message, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := r.Body.Close(); err != nil {
		return err
	}
	if len(message) > 0 { // an error has none
		if len(message) < 5 || message[0] != 0 {
			return fmt.Errorf("%s: %q is not a plain message", r.Request.URL.Path, message)
		}
		message = append(message, oldestAPI...)
		binary.BigEndian.PutUint32(message[1:], uint32(len(message)-5))
	}
	r.Body = io.NopCloser(bytes.NewReader(message))
	return nil
}
