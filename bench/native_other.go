//go:build !linux

package main

import "os/exec"

// isolate does nothing where there are no namespaces, and so nobody calls it.
func isolate(*exec.Cmd, string) {}
