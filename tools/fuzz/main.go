// Command fuzz runs the fuzz targets of all Go modules here, each for a time, and goes on after a failure:
//
//	go run ./tools/fuzz [-time 10m] [-jobs N] [-keep] [-list] [PATTERN...]
//
// A PATTERN is a regular expression for the PACKAGE.TARGET of what is to be run, such as pull.Fuzz; targets run in the
// order of the patterns, and all of them without one. Progress is a line a minute for each target, and at the end there
// is a table. Inputs that fail are left where go test finds them again, in testdata/fuzz of the package. With -keep,
// what earlier runs left in the cache of go and covers more than the committed corpus is added to that, up to 50 files and
// 200 KiB a target; with -time 0 nothing else is done. The exit status is 1 when a target failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, []string{".", "tools/guest"}, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("there are failures")

func run(ctx context.Context, modules, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("fuzz", flag.ExitOnError)
	duration := fs.Duration("time", 10*time.Minute, "`time` for each target")
	jobs := fs.Int("jobs", max(1, runtime.NumCPU()/2), "`number` of targets at once; each takes a processor, and a part of another")
	keep := fs.Bool("keep", false, "add what covers more to the committed corpora")
	list := fs.Bool("list", false, "list the targets only")
	fs.Parse(args)
	all, err := find(ctx, modules...)
	if err != nil {
		return err
	}
	targets, err := choose(all, fs.Args())
	if err != nil {
		return err
	}
	if *list {
		for _, t := range targets {
			fmt.Fprintln(out, t)
		}
		return nil
	}
	o := &output{w: out}
	results := make([]result, len(targets))
	each(*jobs, len(targets), func(i int) {
		if results[i].target = targets[i]; *duration > 0 {
			results[i] = fuzz(ctx, targets[i], *duration, o)
		}
	})
	if *keep {
		for i, t := range targets {
			if results[i].kept, err = keepCorpus(ctx, t); err != nil {
				return fmt.Errorf("%s: corpus: %w", t, err)
			}
			o.printf("%s: corpus: %s\n", t, results[i].kept)
		}
	}
	if *duration > 0 {
		return summary(out, results)
	}
	return nil
}

// choose gives the targets that match a pattern, in the order of the patterns.
func choose(all []target, patterns []string) ([]target, error) {
	if len(patterns) == 0 {
		return all, nil
	}
	var out []target
	seen := map[target]bool{}
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, err
		}
		matched := false
		for _, t := range all {
			if !re.MatchString(t.String()) {
				continue
			}
			if matched = true; !seen[t] {
				seen[t] = true
				out = append(out, t)
			}
		}
		if !matched {
			return nil, fmt.Errorf("no target matches %q; -list lists them", p)
		}
	}
	return out, nil
}

// each calls do for 0 to n-1, so many at once.
func each(jobs, n int, do func(int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(1, jobs) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// output is written to by several goroutines.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) printf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.w, format, args...)
}

// summary prints a table of the results, and fails if any of them is a failure.
func summary(out io.Writer, results []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "target\ttime\texecutions\tnew interesting\tresult")
	var err error
	for _, r := range results {
		verdict := "ok"
		if r.err != nil {
			verdict, err = "FAILED: "+r.err.Error(), errFailed
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", r.target, r.time.Round(time.Second), r.executions, r.interesting, verdict)
	}
	return errors.Join(w.Flush(), err)
}
