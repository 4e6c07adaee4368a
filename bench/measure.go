//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// What is measured, and where the kernel keeps it.

// cpuOf returns the CPU time, user and system, a process has used: its CPU clock,
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

// residentOf returns the memory a process holds for itself, in bytes: RssAnon and
// RssShmem. It leaves out mapped files, above all its program.
func residentOf(pid int) (int64, error) {
	status, err := statusOf(pid)
	return int64(status.RssAnon + status.RssShmem), err
}

// peakOf returns how many bytes a process grew at most while do ran. That includes
// pages of its program that it touched for the first time.
func peakOf(pid int, do func() error) (grown int64, err error) {
	defer catch(&err)
	// 5 resets the peak to what is resident now: proc_pid_clear_refs(5).
	must(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0))
	before := need(statusOf(pid))
	must(do())
	return int64(need(statusOf(pid)).VmHWM) - int64(before.VmRSS), nil
}

func statusOf(pid int) (status procfs.ProcStatus, err error) {
	defer catch(&err)
	p := need(procfs.NewProc(pid))
	return p.NewStatus()
}

// descriptorsOf returns how many descriptors a process has open.
func descriptorsOf(pid int) (int, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, err
	}
	return p.FileDescriptorsLen()
}

// familyOf returns a process and all its descendants, itself first.
func familyOf(pid int) ([]int, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil { // it may have ended meanwhile
			children[stat.PPID] = append(children[stat.PPID], p.PID)
		}
	}
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family, nil
}

func cpuOfAll(family []int) (sum time.Duration, err error) {
	defer catch(&err)
	for _, pid := range family {
		sum += need(cpuOf(pid))
	}
	return sum, nil
}

// memoryOfAll returns the memory of all, in bytes: Pss, which divides a shared page
// among those who share it.
func memoryOfAll(family []int) (sum int64, err error) {
	defer catch(&err)
	for _, pid := range family {
		p := need(procfs.NewProc(pid))
		sum += int64(need(p.ProcSMapsRollup()).Pss)
	}
	return sum, nil
}

// quantile of sorted values; it interpolates. Of none it is 0.
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

// stopwatch records how late each line reached each client.
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

// arrived notes the lines that a client completed with the bytes from..to of the
// stream.
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

// p99 returns the lateness that one delivery in a hundred exceeds.
func (s *stopwatch) p99() time.Duration {
	slices.Sort(s.late)
	return time.Duration(quantile(s.late, 0.99))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
