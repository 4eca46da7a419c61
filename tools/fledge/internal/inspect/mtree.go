package inspect

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/fledge-build/fledge/internal/fstree"
	"github.com/fledge-build/fledge/tools/fledge/internal/artifact"
)

// MTree writes what is at path and below it as a specification in mtree(5), with full paths.
func MTree(w io.Writer, a artifact.Artifact, path string) error {
	out := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprintln(out, "#mtree")
	for e, err := range a.Walk(path) {
		if err != nil {
			return err
		}
		line, err := mtreeLine(a, e)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}

func mtreeLine(a artifact.Artifact, e *artifact.Entry) (string, error) {
	name := "."
	if e.Path != "." {
		name = "./" + strings.ReplaceAll(vis(e.Path), "=", `\075`) // or it is taken for a keyword
	}
	line := fmt.Sprintf("%s type=%s mode=%04o uid=%d gid=%d time=%d.000000000",
		name, e.TypeName(), e.Mode, e.UID, e.GID, e.ModTime)
	// What a directory counts depends on the file system that it is on.
	if e.Type != fstree.Directory {
		line += fmt.Sprintf(" nlink=%d", e.Links)
	}
	switch {
	case e.Type == fstree.Symlink:
		line += " link=" + vis(e.Target)
	case e.IsDevice():
		line += fmt.Sprintf(" device=native,%d,%d", e.Major, e.Minor)
	case e.Type == fstree.Regular:
		sum, err := a.Digest(e)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" size=%d sha256digest=%x", e.Size, sum)
	}
	return line, nil
}
