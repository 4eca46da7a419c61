//go:build linux

package main

import (
	"log"
	"net"
	"net/url"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	grace       = 10 * time.Second // for the workload to stop by itself
	startLimit  = time.Minute      // for the workload to listen
	dialEvery   = 50 * time.Millisecond
	dialTimeout = time.Second
)

// supervise reaps what ends, as PID 1 must, until the workload has. Any other signal is a request to stop: it is passed
// on as SIGTERM, and as SIGKILL when the workload still runs after some time.
func supervise(workload int, signals <-chan os.Signal) {
	var kill <-chan time.Time
	for {
		select {
		case s := <-signals:
			if s != unix.SIGCHLD {
				log.Printf("%v: stopping the workload", s)
				unix.Kill(workload, unix.SIGTERM)
				kill = time.After(grace)
			} else if reap(workload) {
				return
			}
		case <-kill:
			log.Printf("the workload did not stop within %v: killing it", grace)
			unix.Kill(workload, unix.SIGKILL)
		}
	}
}

// reap collects all children that have ended and tells whether the workload is among them.
func reap(workload int) (ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid <= 0:
			return ended
		case pid == workload && status.Signaled():
			log.Printf("workload ended by signal %d (%v)", status.Signal(), status.Signal())
			ended = true
		case pid == workload:
			log.Printf("workload ended with status %d", status.ExitStatus())
			ended = true
		}
	}
}

// announce says when something listens where the manifest expects it. Nothing is said of a workload without a URL.
func announce(base string) {
	address := dialAddress(base)
	if address == "" {
		return
	}
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(dialEvery) {
		c, err := net.DialTimeout("tcp", address, dialTimeout)
		if err == nil {
			c.Close()
			log.Printf("listening at %s", base)
			return
		}
	}
	log.Printf("warning: nothing listens at %s after %v", base, startLimit)
}

// dialAddress is the host and port of a URL; localhost needs no resolver.
func dialAddress(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	host, port := u.Hostname(), u.Port()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(host, port)
}
