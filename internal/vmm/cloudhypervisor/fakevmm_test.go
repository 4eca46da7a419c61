//go:build linux

package cloudhypervisor

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fakevmm is NOT Cloud Hypervisor: it is this test binary, started again under the name fakevmm. It takes the same command
// line, refuses every request that the published API does not describe (testdata/api.json), and plays by heart what
// Cloud Hypervisor tells of a guest; no guest runs. FAKEVMM_PLAY names the play.

//go:embed testdata/api.json
var published []byte

func TestMain(m *testing.M) {
	if play := os.Getenv("FAKEVMM_PLAY"); play != "" {
		if err := fakevmm(play, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "fakevmm:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type fake struct {
	play    string
	config  vmConfig
	created bool
	events  *os.File
	serial  *os.File
	console *os.File // nil when the guest has none
	once    sync.Once
	booted  chan struct{}
	quit    chan error
}

func fakevmm(play string, args []string) error {
	if err := os.WriteFile(os.Getenv("FAKEVMM_PID"), fmt.Append(nil, os.Getpid()), 0o644); err != nil {
		return err
	}
	if play == "fails at once" {
		return errors.New("Failed to open hypervisor interface")
	}
	if play == "ends at once" {
		fmt.Println("a word of farewell")
		return nil
	}
	var socket, eventFile string
	line := strings.Join(args, " ")
	if _, err := fmt.Sscanf(line, "--api-socket path=%s --event-monitor path=%s --seccomp true", &socket, &eventFile); err != nil {
		return fmt.Errorf("arguments %q: %w", args, err)
	}
	f := &fake{play: play, booted: make(chan struct{}), quit: make(chan error)}
	var err error
	if f.events, err = os.Create(eventFile); err != nil {
		return err
	}
	f.tell("vmm", "starting")
	if play == "no socket" {
		select {}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go http.Serve(l, f)
	f.tell("vmm", "started")
	select {
	case err := <-f.quit:
		return err
	case <-f.booted:
		return f.perform()
	}
}

// tell writes an event as the event monitor does: with line breaks in the object, and an empty line after it.
func (f *fake) tell(source, name string) {
	var properties any
	if source == "guest" {
		properties = map[string]string{"event": "Panic"}
	}
	b, _ := json.MarshalIndent(map[string]any{
		"timestamp": map[string]int{"secs": 0, "nanos": 1}, "source": source, "event": name, "properties": properties,
	}, "", "  ")
	fmt.Fprintf(f.events, "%s\n\n", b)
}

// ServeHTTP is the API.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, causes ...string) {
		b, _ := json.Marshal(causes)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write(b)
	}
	if err := checkRequest(r); err != nil {
		refuse(http.StatusBadRequest, "the published API", err.Error())
		return
	}
	var err error
	switch r.URL.Path {
	case "/api/v1/vm.create":
		switch f.play {
		case "refuses":
			refuse(http.StatusInternalServerError, "Error from API", "The VM could not be created", "No such device")
			return
		case "fails in create":
			f.quit <- errors.New("thread 'vmm' panicked")
			select {}
		case "no answer":
			select {}
		}
		err = f.create(r.Body)
	case "/api/v1/vm.boot":
		if !f.created {
			refuse(http.StatusNotFound, "VM is not created")
			return
		}
		defer f.once.Do(func() { close(f.booted) })
	}
	if err != nil {
		refuse(http.StatusInternalServerError, "Error from API", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// checkRequest compares a request with the published API. The body is left to be read again.
func checkRequest(r *http.Request) error {
	var api struct {
		Requests map[string]struct{ Body string }
	}
	if err := json.Unmarshal(published, &api); err != nil {
		return err
	}
	what := r.Method + " " + r.URL.Path
	request, ok := api.Requests[what]
	if !ok {
		return fmt.Errorf("no request %s", what)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if request.Body == "" {
		if len(body) > 0 {
			return fmt.Errorf("%s takes no body", what)
		}
		return nil
	}
	return checkBody(request.Body, string(body))
}

// checkBody compares JSON with one of the published schemas.
func checkBody(schema, body string) error {
	api, err := jsonschema.UnmarshalJSON(strings.NewReader(string(published)))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("api.json", api); err != nil {
		return err
	}
	compiled, err := c.Compile("api.json#/$defs/" + schema)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

func (f *fake) create(body io.Reader) error {
	if err := json.NewDecoder(body).Decode(&f.config); err != nil {
		return err
	}
	if _, err := os.Stat(f.config.Payload.Kernel); err != nil {
		return err
	}
	f.created = true
	return f.openConsoles()
}

// openConsoles opens the files of the guest's output as Cloud Hypervisor does on each boot: it cuts them.
func (f *fake) openConsoles() (err error) {
	if f.serial, err = os.Create(f.config.Serial.File); err != nil || f.config.Console.Mode == "Off" {
		return err
	}
	f.console, err = os.Create(f.config.Console.File)
	return err
}

// perform plays the guest.
func (f *fake) perform() error {
	f.tell("vm", "booting")
	f.tell("vm", "booted")
	fmt.Fprint(f.serial, "Linux version 6\r\n")
	if f.console != nil {
		fmt.Fprint(f.console, "step 1\n")
	}
	switch f.play {
	case "powers off", "powers off untold":
		return f.powerOff()
	case "hangs":
		select {}
	case "panics":
		fmt.Fprint(f.serial, "Kernel panic - not syncing\r\n")
		f.tell("guest", "panic")
		return f.reboot()
	case "reboots":
		return f.reboot()
	case "dies":
		return errors.New("VMM thread exited with error")
	case "speaks nonsense":
		fmt.Fprint(f.events, "{]")
		select {}
	}
	return fmt.Errorf("no play %q", f.play)
}

func (f *fake) powerOff() error {
	for _, d := range f.config.Disks {
		if !d.ReadOnly {
			if err := os.WriteFile(d.Path, []byte(strings.Repeat("w", sector)), 0o644); err != nil {
				return err
			}
		}
	}
	if f.console != nil {
		fmt.Fprint(f.console, strings.Repeat("x", 100<<10)+"\nlast step\n")
	}
	fmt.Fprint(f.serial, "Power down\r\n")
	if f.play == "powers off untold" { // nobody waits for the thread that writes the events
		return nil
	}
	f.tell("vm", "shutdown")
	f.tell("vm", "deleted")
	f.tell("vmm", "shutdown")
	return nil
}

// reboot goes on for ever, as a guest does that fails in each boot.
func (f *fake) reboot() error {
	for {
		f.tell("vm", "rebooting")
		if err := f.openConsoles(); err != nil {
			return err
		}
		f.tell("vm", "rebooted")
		fmt.Fprint(f.serial, "Linux version 6\r\n")
		time.Sleep(10 * time.Millisecond)
	}
}
