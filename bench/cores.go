//go:build linux

package main

import (
	"cmp"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// The server has a core of its own, the clients another. With one core, all share it
// and the figures are worth less.
type cores struct{ all, server, load unix.CPUSet }

// share divides the cores this process may use. Call it before pinning anything.
func share() (cores, error) {
	var c cores
	if err := unix.SchedGetaffinity(0, &c.all); err != nil {
		return c, os.NewSyscallError("sched_getaffinity", err)
	}
	first, last := -1, -1
	for cpu := range len(c.all) * 64 {
		if c.all.IsSet(cpu) {
			last = cpu
			if first < 0 {
				first = cpu
			}
		}
	}
	c.server.Set(first)
	c.load.Set(last)
	return c, nil
}

// pinSelf moves every thread of this process to the clients' core. New threads
// inherit it.
func (c cores) pinSelf() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &c.load); err != nil && err != unix.ESRCH {
			return os.NewSyscallError("sched_setaffinity", err)
		}
	}
	return nil
}

// startOn runs start, which starts a process, with the calling thread on the
// given cores: a process inherits them from the thread that starts it.
func startOn(set unix.CPUSet, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return os.NewSyscallError("sched_getaffinity", err)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return os.NewSyscallError("sched_setaffinity", err)
	}
	failed := start()
	err := unix.SchedSetaffinity(0, &before)
	return cmp.Or(failed, os.NewSyscallError("sched_setaffinity", err))
}
