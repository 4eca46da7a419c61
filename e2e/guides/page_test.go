package guides

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A block is a fenced block of a guide. One of the kind "console" has commands, each behind "$ ", and what they print; its commands
// run. Any other one says in an HTML comment on the line before it what becomes of it:
//
//	<!-- file: NAME -->       it is written to NAME, below the folder that the guide's commands are in then
//	<!-- not run: REASON -->  nothing; the test prints the reason
//
// Before a block of commands may stand "<!-- not run: REASON -->", or "<!-- fails -->": the last command has to fail.
type block struct {
	line   int // of the opening fence, from 1
	file   string
	notRun string
	fails  bool
	text   string
	steps  []step
}

// A step is a command and the lines that it has to print; none stand for any.
type step struct {
	line    int
	command string
	output  []string
}

var (
	fence   = regexp.MustCompile("^```([a-z]*)$")
	comment = regexp.MustCompile(`^<!-- (file|not run|fails)(?:: (.*))? -->$`)
	begins  = regexp.MustCompile(`(?m)^<!-- begins where (.*) ends -->$`)
)

// A guide is a page whose blocks are tried out.
type guide struct {
	name   string // of the file
	begins string // the guide whose folder it begins in, or none: an empty folder
	blocks []*block
}

// readGuide takes the blocks out of a guide.
func readGuide(path string) (*guide, error) {
	page, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &guide{name: filepath.Base(path)}
	if first := begins.FindSubmatch(page); first != nil {
		g.begins = string(first[1])
	}
	if g.blocks, err = parse(string(page)); err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return g, nil
}

// parse's errors begin with the number of a line.
func parse(page string) ([]*block, error) {
	var blocks []*block
	var open *block
	var kind, before string
	for i, line := range strings.Split(page, "\n") {
		mark := fence.FindStringSubmatch(line)
		switch {
		case open == nil && mark == nil:
			if strings.HasPrefix(line, "    ") && before == "" {
				return nil, fmt.Errorf("%d: an indented block, which the test would not see; use a fence", i+1)
			}
		case open == nil:
			kind = mark[1]
			open = &block{line: i + 1}
			if err := open.note(before, kind); err != nil {
				return nil, fmt.Errorf("%d: %w", i+1, err)
			}
		case line != "```":
			open.text += line + "\n"
		default:
			if err := open.finish(kind); err != nil {
				return nil, err
			}
			blocks, open = append(blocks, open), nil
		}
		before = line
	}
	if open != nil {
		return nil, fmt.Errorf("%d: the block has no end", open.line)
	}
	return blocks, nil
}

// note reads the line before a block.
func (b *block) note(before, kind string) error {
	c := comment.FindStringSubmatch(before)
	if c == nil {
		c = []string{"", "", ""}
	}
	switch {
	case c[1] == "not run" && c[2] != "":
		b.notRun = c[2]
	case c[1] == "file" && c[2] != "" && kind != "console":
		b.file = c[2]
	case c[1] == "fails" && kind == "console":
		b.fails = true
	case strings.HasPrefix(before, "<!--") || kind != "console":
		return fmt.Errorf("the line before a %q block does not say what becomes of it: %q", kind, before)
	}
	return nil
}

// finish reads the commands of a block that ends.
func (b *block) finish(kind string) error {
	if kind != "console" || b.notRun != "" {
		return nil
	}
	continues := false
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case continues:
			b.steps[len(b.steps)-1].command += "\n" + line
		case isCommand:
			b.steps = append(b.steps, step{line: b.line + 1 + i, command: command})
		case len(b.steps) == 0:
			return fmt.Errorf("%d: a block of commands begins with one, behind \"$ \"", b.line+1)
		default:
			last := &b.steps[len(b.steps)-1]
			last.output = append(last.output, line)
		}
		continues = (continues || isCommand) && strings.HasSuffix(line, `\`)
	}
	return nil
}

// compare tells where what a command printed is not what the guide shows. There "…" stands for anything within a line, and
// for any lines where it is alone on one.
func compare(shown []string, printed string) error {
	if len(shown) == 0 {
		return nil
	}
	printed = strings.TrimSuffix(printed, "\n") + "\n"
	if pattern(shown).MatchString(printed) {
		return nil
	}
	fits := 0
	for fits < len(shown) && pattern(append(append([]string{}, shown[:fits+1]...), "…")).MatchString(printed) {
		fits++
	}
	if fits == len(shown) {
		return errors.New("more was printed than the guide shows")
	}
	return fmt.Errorf("at this line of the guide something else was printed:\n    %s", shown[fits])
}

func pattern(shown []string) *regexp.Regexp {
	expression := "^"
	for _, line := range shown {
		if line == "…" {
			expression += `(?:.*\n)*?`
			continue
		}
		expression += strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " ")), "…", ".*") + ` *\n`
	}
	return regexp.MustCompile(expression + "$")
}
