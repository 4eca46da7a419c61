//go:build linux

// Package machine asks the kernel how the machine fares: time since boot, memory, space, kills for want of memory.
package machine

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fledge-build/fledge/internal/solve/wire"
)

// Uptime is the time since the machine started, in seconds.
func Uptime() float64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return float64(ts.Nano()/1e6) / 1e3
}

// MemInfo is /proc/meminfo, in KiB.
func MemInfo() map[string]int64 { return numbers("/proc/meminfo", ":") }

// OOMKills counts the processes that the kernel ended since boot for want of memory.
func OOMKills() int64 { return numbers("/proc/vmstat", "")["oom_kill"] }

// numbers reads a file of lines with a name, a separator and a number.
func numbers(file, separator string) map[string]int64 {
	text, _ := os.ReadFile(file)
	m := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 {
			m[strings.TrimSuffix(f[0], separator)], _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	return m
}

// Memory is what the machine uses now.
func Memory() wire.Memory {
	m := MemInfo()
	return wire.Memory{Total: m["MemTotal"], MinAvailable: m["MemAvailable"], SwapUsed: m["SwapTotal"] - m["SwapFree"]}
}

// OutOfMemory is the failure of a machine whose kernel ended processes.
func OutOfMemory(kills int64) wire.Failure {
	return wire.Failure{Kind: wire.FailOOM, Message: fmt.Sprintf(
		"the build machine ran out of memory: of %d MiB too little was left, and the kernel ended processes (%d): "+
			"give the solve more memory", MemInfo()["MemTotal"]>>10, kills)}
}

// FormatTimes and ParseTimes pass times from the first process to its child.
func FormatTimes(t wire.Times) string {
	b, _ := json.Marshal(t)
	return string(b)
}

// ParseTimes reads what FormatTimes wrote.
func ParseTimes(s string) (t wire.Times, err error) { return t, json.Unmarshal([]byte(s), &t) }

// SiginfoPID is si_pid of a siginfo_t that waitid filled; 0 when there was nothing to wait for.
func SiginfoPID(info *unix.Siginfo) int {
	// Three 32-bit numbers, padding to 64 bits, and then the union that starts with si_pid.
	const offset = 16
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
