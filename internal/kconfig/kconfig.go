// Package kconfig reads the configuration that a Linux kernel was built with: a .config, /boot/config-RELEASE or
// /proc/config.gz. The format is that of the kernel's Documentation/kbuild/kconfig.rst.
package kconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxSize bounds a configuration, unpacked, in bytes: a distribution's has about 300 KB.
const maxSize = 16 << 20

// remedy says what to give instead of a file that is no configuration.
const remedy = "give the .config of the kernel, its /boot/config-RELEASE or /proc/config.gz"

// Config is the configuration of one kernel.
type Config struct {
	name   string
	values map[string]string
}

// Open reads the configuration in a file, plain or compressed with gzip.
func Open(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("kernel config: %w", err)
	}
	defer f.Close()
	b, err := readAll(f)
	if err == nil && bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		b, err = gunzip(b)
	}
	if err != nil {
		return nil, fmt.Errorf("kernel config %s: %w: %s", file, err, remedy)
	}
	return Parse(file, b)
}

// Parse reads a configuration, not compressed, which errors call name.
func Parse(name string, text []byte) (*Config, error) {
	c := &Config{name: name, values: map[string]string{}}
	mentioned, n := 0, 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if m := unsetLine.FindStringSubmatch(line); m != nil {
			delete(c.values, m[1]) // of two lines for one option the last counts
			mentioned++
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		m := setLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("kernel config %s:%d: %s is neither CONFIG_NAME=value nor a comment: %s",
				name, n, quote(line), remedy)
		}
		c.values[m[1]] = m[2]
		mentioned++
	}
	if mentioned == 0 {
		return nil, fmt.Errorf("kernel config %s: no CONFIG_ line among its %d lines: %s", name, n, remedy)
	}
	return c, nil
}

var (
	setLine   = regexp.MustCompile(`^CONFIG_([A-Za-z0-9_]+)=([ymn]|-?[0-9]+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*")$`)
	unsetLine = regexp.MustCompile(`^# CONFIG_([A-Za-z0-9_]+) is not set$`)
)

// Name is the file that the configuration was read from.
func (c *Config) Name() string { return c.name }

// BuiltIn tells whether an option, named without CONFIG_, is y.
func (c *Config) BuiltIn(option string) bool { return c.values[option] == "y" }

// Module tells whether an option, named without CONFIG_, is m: the kernel has it as a module.
func (c *Config) Module(option string) bool { return c.values[option] == "m" }

// quote shortens a line that may be anything.
func quote(line string) string {
	const most = 40
	if len(line) > most {
		return fmt.Sprintf("%q…", line[:most])
	}
	return fmt.Sprintf("%q", line)
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return readAll(z)
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = errors.New("more than 16 MiB, which no configuration is")
	}
	return b, err
}
