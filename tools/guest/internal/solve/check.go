package solve

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// check finds what BuildKit would not tell, or would do otherwise than the Dockerfile says. Other errors in the
// Dockerfile are left to BuildKit.
func check(job wire.Job, text []byte) *wire.Failure {
	if f := checkSyntax(job, text); f != nil {
		return f
	}
	ast, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil
	}
	stages, _, err := instructions.Parse(ast.AST, nil)
	if err != nil {
		return nil
	}
	return checkStages(job, text, stages)
}

// bundled are the frontends that the bundled one stands for, whatever their tag.
var bundled = []string{"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}

// checkSyntax refuses a "# syntax=" line of another language: the bundled frontend answers always, and would not know
// it.
func checkSyntax(job wire.Job, text []byte) *wire.Failure {
	name, _, at, ok := parser.DetectSyntax(text)
	line := 0
	if ok && len(at) > 0 {
		line = at[0].Start.Line
	}
	if arg, set := job.BuildArgs["BUILDKIT_SYNTAX"]; set {
		name, line, ok = strings.TrimSpace(arg), 0, true
	}
	if !ok {
		return nil
	}
	if named, err := reference.ParseNormalizedNamed(name); err == nil && slices.Contains(bundled, named.Name()) {
		return nil
	}
	f := &wire.Failure{Kind: wire.FailDockerfile, Message: fmt.Sprintf(
		"syntax %s: the bundled frontend knows the syntax of docker/dockerfile alone, and no other is fetched: "+
			"remove the line, or write the Dockerfile for docker/dockerfile:1", name)}
	if line > 0 {
		f.Position = position(job.Dockerfile, string(text), line, line, name)
	}
	return f
}

// checkStages refuses stages that have the name of a base image: it would take their place.
func checkStages(job wire.Job, text []byte, stages []instructions.Stage) *wire.Failure {
	taken := map[string]string{}
	for _, im := range job.Images {
		if name, err := contextName(im.Ref); err == nil {
			taken[name] = im.Ref
		}
	}
	for _, s := range stages {
		ref, ok := taken[strings.ToLower(s.Name)]
		if !ok || s.Name == "" {
			continue
		}
		f := &wire.Failure{Kind: wire.FailDockerfile, Message: fmt.Sprintf(
			"stage %s has the name of base image %s, which would take its place: rename the stage", s.Name, ref)}
		if len(s.Location) > 0 {
			r := s.Location[0]
			f.Position = position(job.Dockerfile, string(text), r.Start.Line, r.End.Line, s.Name)
		}
		return f
	}
	return nil
}
