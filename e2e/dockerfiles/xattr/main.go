// Command xattr sets an extended attribute, which busybox cannot: xattr FILE NAME VALUE, or with the content of another
// file xattr FILE NAME @OTHER.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "xattr FILE NAME VALUE|@OTHER")
		os.Exit(2)
	}
	if err := set(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v\n", os.Args[1], os.Args[2], err)
		os.Exit(1)
	}
}

func set(file, name, value string) error {
	data := []byte(value)
	if other, ok := strings.CutPrefix(value, "@"); ok {
		var err error
		if data, err = os.ReadFile(other); err != nil {
			return err
		}
	}
	return unix.Lsetxattr(file, name, data, 0)
}
