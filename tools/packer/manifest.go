package main

import (
	"context"
	"errors"
	"io"
)

func runManifest(ctx context.Context, args []string, stderr io.Writer) error {
	return errors.New("not written yet")
}
