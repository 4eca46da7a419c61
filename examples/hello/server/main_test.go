package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", http.StatusOK, "Hello from a microVM.\n\nYou are 192.0.2.1:1234 and asked example.com for /.\n"},
		{"GET", "/healthz", http.StatusOK, "ok\n"},
		{"GET", "/nothing", http.StatusNotFound, "404"},
		{"POST", "/", http.StatusMethodNotAllowed, "Method Not Allowed"},
	} {
		answer := httptest.NewRecorder()
		handler().ServeHTTP(answer, httptest.NewRequest(tt.method, tt.path, nil))
		if answer.Code != tt.status || !strings.HasPrefix(answer.Body.String(), tt.body) {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, answer.Code, answer.Body, tt.status, tt.body)
		}
	}
}

// TestServe makes a request over the network and then asks the server to stop.
func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback network here:", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "ok\n" {
		t.Errorf("answer %q, error %v", body, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
