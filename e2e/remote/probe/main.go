// Command probe says what an action can reach: it writes OUT when all of what is named is there, and else fails and names
// what is not.
//
//	probe OUT FILE|tcp:HOST:PORT...
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	for _, name := range os.Args[2:] {
		if err := reach(name); err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			os.Exit(1)
		}
	}
	if err := os.WriteFile(os.Args[1], []byte("reached\n"), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func reach(name string) error {
	if address, ok := strings.CutPrefix(name, "tcp:"); ok {
		conn, err := net.DialTimeout("tcp", address, time.Minute)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	_, err := os.ReadFile(name)
	return err
}
