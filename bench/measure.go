//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What is measured, and where the kernel keeps it.

// cpuOf is the CPU time, user and system, a process has used: its CPU clock,
// exact to the nanosecond where getrusage(2) may round to ticks.
func cpuOf(pid int) (time.Duration, error) {
	var ts unix.Timespec
	// CPUCLOCK_SCHED of a whole process, as clock_getcpuclockid(3) makes it.
	clock := int32(^pid)<<3 | 2
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// residentOf is the memory a process holds for itself, in bytes: RssAnon and
// RssShmem. What is mapped from files, its program above all, is left out.
func residentOf(pid int) (int64, error) { return statusOf(pid, "RssAnon:", "RssShmem:") }

// peakOf is by how many bytes a process grew at most while do ran, the part of
// its program that it touched for the first time included.
func peakOf(pid int, do func() error) (int64, error) {
	// 5 sets the peak to what is resident now: proc_pid_clear_refs(5).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return 0, err
	}
	before, err := statusOf(pid, "VmRSS:")
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := statusOf(pid, "VmHWM:")
	return after - before, err
}

// statusOf is the sum of what a process's status says under these names, in bytes.
func statusOf(pid int, names ...string) (sum int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		kib, err := numberAfter(status, name)
		if err != nil {
			return 0, err
		}
		sum += kib << 10
	}
	return sum, nil
}

// numberAfter finds name and reads the number behind it.
func numberAfter(text []byte, name string) (int64, error) {
	_, rest, found := strings.Cut(string(text), name)
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, fmt.Errorf("no %q in %q", name, text)
	}
	return strconv.ParseInt(fields[0], 10, 64)
}

// descriptorsOf is how many descriptors a process has open.
func descriptorsOf(pid int) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	// Since Linux 6.2 the size of the directory says it, at once even for many.
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	if n := info.Size(); n > 0 {
		return int(n), nil
	}
	names, err := os.ReadDir(dir)
	return len(names), err
}

// quantile wants sorted values, and lies between two of them where need be. Of
// none it is 0.
func quantile[T int64 | float64](sorted []T, q float64) T {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	low := sorted[int(at)]
	high := sorted[min(int(at)+1, len(sorted)-1)]
	return low + T((at-math.Floor(at))*float64(high-low))
}

func median(values []float64) float64 {
	return quantile(slices.Sorted(slices.Values(values)), 0.5)
}

// stopwatch knows when each line was due and notes how late it reached each client.
type stopwatch struct {
	start time.Time
	first int64   // byte of the stream where the first line begins
	size  int64   // of a line, in bytes
	due   []int64 // when each line was, in nanoseconds since start
	late  []int64 // one for each delivery, in nanoseconds
}

func newStopwatch(first, size, lines, clients int) *stopwatch {
	return &stopwatch{
		start: time.Now(),
		first: int64(first),
		size:  int64(size),
		due:   make([]int64, 0, lines),
		late:  make([]int64, 0, lines*clients),
	}
}

// sent notes that the next line is due at t.
func (s *stopwatch) sent(t time.Time) { s.due = append(s.due, int64(t.Sub(s.start))) }

// arrived notes the lines a client completed by taking the bytes from..to of
// the stream.
func (s *stopwatch) arrived(from, to int64) {
	s.lines(int(from/s.size), int(to/s.size))
}

// lines notes that a client completed the lines from..to of the stream.
func (s *stopwatch) lines(from, to int) {
	now := int64(time.Since(s.start))
	first := int(s.first / s.size)
	for i := from; i < to; i++ {
		s.late = append(s.late, now-s.due[i-first])
	}
}

// p99 is the lateness that one delivery in a hundred exceeds.
func (s *stopwatch) p99() time.Duration {
	slices.Sort(s.late)
	return time.Duration(quantile(s.late, 0.99))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
