package main

import (
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
		{"GET", "/", http.StatusOK, "Hello from a microVM.\nHost: example.com\nPath: /\n"},
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
