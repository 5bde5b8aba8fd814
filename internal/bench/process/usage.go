//go:build linux

package process

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

var proc, _ = procfs.NewDefaultFS() // fails without /proc, and then so does each use

// Monotonic returns the time in ns on a clock that all processes share.
func Monotonic() int64 { return clock(unix.CLOCK_MONOTONIC) }

// CPU returns the processor time in ns that the process has used.
func (p *Process) CPU() int64 {
	return clock(int32(^p.cmd.Process.Pid<<3 | 2)) // as clock_getcpuclockid(3) has it
}

func clock(id int32) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0 // the process has ended, as the next call to it reports
	}
	return t.Nano()
}

// Memory returns the bytes of memory that are mapped from no file, and the number of
// open sockets. Pages of the program itself would count as memory of the first
// streams, since they are read when its code runs for the first time.
func (p *Process) Memory() (resident int64, sockets int, err error) {
	proc, err := proc.Proc(p.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	maps, err := proc.ProcSMapsRollup()
	if err != nil {
		return 0, 0, err
	}
	targets, err := proc.FileDescriptorTargets()
	for _, target := range targets {
		if strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return int64(maps.Anonymous), sockets, err
}

// Slab returns the bytes of memory that the kernel holds for its own objects, on the
// whole machine. Most of these are sockets while there are many.
func Slab() (int64, error) {
	m, err := proc.Meminfo()
	if err != nil {
		return 0, err
	}
	return int64(*m.SlabBytes), nil
}

// RaiseFileLimit raises the limit of descriptors to the hard limit, and fails if that
// is less than need.
func RaiseFileLimit(need int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if int(limit.Max) < need {
		return fmt.Errorf("%d descriptors needed, the hard limit is %d: raise it or use fewer streams", need, limit.Max)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// Machine describes the machine in one line.
func Machine() string {
	model, release := runtime.GOARCH, "unknown"
	if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 {
		model = cpus[0].ModelName
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		release, _, _ = strings.Cut(unix.ByteSliceToString(u.Release[:]), "-") // the builder's name follows
	}
	return fmt.Sprintf("%d cores of %s, Linux %s, %s", runtime.NumCPU(), model, release, runtime.Version())
}

// Load returns the machine's load averages.
func Load() string {
	load, err := proc.LoadAvg()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.2f, %.2f, %.2f", load.Load1, load.Load5, load.Load15)
}
