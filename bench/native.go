package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/fledge-build/fledge/internal/cpio"
)

// nativeRounds is how often an init runs natively for each boot of a machine.
const nativeRounds = 10

// canIsolate says whether inits can run in namespaces.
func canIsolate() bool { return runtime.GOOS == "linux" && os.Getuid() == 0 }

// measureNatively compares the inits without a machine: each is PID 1 of namespaces of its own, with a folder as its root,
// so that the processor and not an emulator runs it. The times take the place of what is in tasks.
func measureNatively(tasks []initTask, d folder, rounds int) error {
	var roots []string
	for i := range tasks {
		tasks[i].took = nil
		root := d.file("root%d", i)
		if err := unpackInit(root, tasks[i]); err != nil {
			return err
		}
		roots = append(roots, root)
	}
	for range rounds {
		for i := range tasks {
			s, err := runNatively(roots[i])
			if err != nil {
				return fmt.Errorf("%s: %w", tasks[i].name, err)
			}
			tasks[i].took = append(tasks[i].took, s.took)
		}
	}
	return nil
}

// unpackInit puts what is in the init's archive, but for the devices, which it mounts, into a folder.
func unpackInit(root string, t initTask) error {
	for _, e := range t.entries {
		path, perm := filepath.Join(root, e.Name), os.FileMode(e.Mode&0o777)
		var err error
		switch e.Mode &^ 0o7777 {
		case cpio.TypeDir:
			err = os.MkdirAll(path, perm)
		case cpio.TypeRegular:
			err = os.WriteFile(path, []byte(e.Content), perm)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runNatively runs the init in the folder once.
func runNatively(root string) (stamp, error) {
	file := filepath.Join(root, "stamp")
	if err := os.RemoveAll(file); err != nil {
		return stamp{}, err
	}
	cmd := exec.Command("/init")
	cmd.Env = []string{"HOME=/", "TERM=linux"} // as the kernel gives its init
	isolate(cmd, root)
	said, ended := cmd.CombinedOutput() // by a signal, when it powers its namespace off
	text, err := os.ReadFile(file)
	if err != nil {
		return stamp{}, fmt.Errorf("the init told no time (%v): %s", ended, said)
	}
	return readStamp(string(text))
}
