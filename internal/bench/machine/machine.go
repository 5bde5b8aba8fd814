//go:build linux

// Package machine asks the kernel for what is measured, and for what the
// machine is.
package machine

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Monotonic returns the time in ns on a clock that all processes share.
func Monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock is always there
	}
	return t.Nano()
}

// CPU returns the processor time in ns that this process has used.
func CPU() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for other arguments alone
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// RaiseFileLimit allows this process as many descriptors as it may have, or
// returns an error if these are fewer than it needs.
func RaiseFileLimit(need int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if int(limit.Max) < need {
		return fmt.Errorf("%d descriptors are needed and the hard limit is %d: raise it, or take fewer streams", need, limit.Max)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// Resident returns how many bytes of memory this process has that are mapped
// from no file. Pages of the program itself, which are read when its code runs
// for the first time, would be taken for memory of the first streams.
func Resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if _, err := fmt.Sscanf(string(line), "Anonymous: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/self/smaps_rollup has no line with Anonymous: a newer kernel is needed")
}

// Slab returns how many bytes of memory the kernel has for objects of its own, most
// of which are sockets while there are many of these. It is the whole machine's.
func Slab() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		var kib int64
		if _, err := fmt.Sscanf(string(line), "Slab: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no line with Slab")
}

// Sockets returns how many sockets this process has open.
func Sockets() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n, nil
}

// Describe returns the machine in one line.
func Describe() string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-") // what follows is who built it
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + release
	}
	return fmt.Sprintf("%d cores of %s, %s, %s", runtime.NumCPU(), processor(), kernel, runtime.Version())
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close() //nolint:errcheck // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
