//go:build linux

package buildkit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// TestRemarks has BuildKit say what its libraries log.
func TestRemarks(t *testing.T) {
	unsupported := fmt.Errorf("lsetxattr: %w", unix.ENOTSUP)
	for _, c := range []struct {
		message string
		fields  logrus.Fields
		want    string // "" for a remark that is none of ours
	}{
		{"failed to rewrite layer sha256:aa", logrus.Fields{"error": errors.New("disk")}, "sha256:aa: disk"},
		{"ignored xattr user.a in archive", logrus.Fields{"error": unsupported}, "user.a in archive: the file system"},
		{"ignored xattrs in archive: underlying filesystem doesn't support them",
			logrus.Fields{"errors": []string{unsupported.Error()}}, "doesn't support them: the file system"},
		{"ignored xattr user.a in archive", logrus.Fields{"error": unix.EPERM}, ""}, // of a symbolic link: nobody can
		{"anything else", logrus.Fields{"error": unsupported}, ""},
	} {
		s := &Server{remarks: &remarks{}}
		for range 2 {
			if err := s.remarks.Fire(&logrus.Entry{Message: c.message, Data: c.fields}); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Err()
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.message, err, c.want)
		case c.want != "" && c.message[0] == 'i' && strings.Contains(err.Error(), "\n"):
			t.Errorf("told twice: %v", err)
		}
	}
}
