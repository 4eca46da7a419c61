package solve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fledge-build/fledge/internal/solve/wire"
	"github.com/fledge-build/fledge/internal/vmm"
)

// playEnv makes this test's binary play a guest program, in the way that its value says.
const playEnv = "FLEDGE_TEST_PLAY"

func TestMain(m *testing.M) {
	if how := os.Getenv(playEnv); how != "" {
		if err := play(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func play(how string) error {
	flags := map[string]string{}
	for i := 1; i+1 < len(os.Args); i += 2 {
		flags[os.Args[i]] = os.Args[i+1]
	}
	os.Stdout.Write(wire.Event{Kind: wire.EventBoot, Text: "BuildKit ready"}.Encode())
	os.Stdout.Write(wire.Event{Kind: wire.EventStart, Step: 1, Text: "[1/1] RUN make"}.Encode())
	switch how {
	case "hang":
		time.Sleep(time.Hour)
	case "die":
		return fmt.Errorf("flags %s", flags["-addr"])
	}
	secrets := 0
	if flags["-secrets"] != "" {
		secrets = 1
	}
	return finish(vmm.Spec{Disks: []vmm.Disk{{}, {File: flags["-output"]}}}, nil,
		&wire.Failure{Kind: wire.FailRun, Message: fmt.Sprintf("%s, %d secrets disks", flags["-addr"], secrets)})
}

func TestProgram(t *testing.T) {
	for _, c := range []struct {
		how     string
		secrets []string
		want    []string
	}{
		{"fail", nil, []string{"unix:///x, 0 secrets disks"}},
		{"fail", []string{"token"}, []string{"unix:///x, 1 secrets disks"}},
		{"die", nil, []string{"exit status 1", "it was at: [1/1] RUN make", "flags unix:///x"}},
		{"hang", nil, []string{"the time limit of 2s is reached", "it was at: [1/1] RUN make"}},
	} {
		t.Run(c.how, func(t *testing.T) {
			t.Setenv(playEnv, c.how)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			o := testOptions(t, nil)
			o.Job.Secrets, o.Secrets.Secrets = c.secrets, map[string][]byte{"token": []byte("x")}
			o.Machine.ScratchMB = 64 // of a machine
			o.Program = &Program{Path: self, Args: []string{"-addr", "unix:///x"}}
			if o.Machine.Limit = time.Minute; c.how == "hang" {
				o.Machine.Limit = 2 * time.Second
			}
			var events []string
			o.Event = func(e wire.Event) { events = append(events, e.Kind) }
			dir := t.TempDir()
			_, err = Solve(t.Context(), filepath.Join(dir, "out"), o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
			if strings.Join(events, " ") != wire.EventStart {
				t.Errorf("events %v, those of a machine's start among them", events)
			}
			onlyIn(t, dir)
		})
	}
}
