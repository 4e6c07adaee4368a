//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A server may be several processes: itself, and what it has started.
//
//	familyOf   which they are
//	cpuOfAll   what they have used, as cpuOf
//	sharesOf   what they hold, with what is shared counted once

// familyOf is a process and all that descend from it, itself first.
func familyOf(pid int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, stat := range stats {
		// One that has ended meanwhile is nobody's.
		if child, parent, ok := parentOf(stat); ok {
			children[parent] = append(children[parent], child)
		}
	}
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family, nil
}

// parentOf reads a process's own number and its parent's: proc_pid_stat(5).
func parentOf(stat string) (pid, parent int, ok bool) {
	text, err := os.ReadFile(stat)
	if err != nil {
		return 0, 0, false
	}
	// Between them stands its name, in which there may be anything.
	number, _, _ := bytes.Cut(text, []byte(" "))
	_, behind, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	var state string
	if _, err := fmt.Sscan(string(behind), &state, &parent); err != nil {
		return 0, 0, false
	}
	pid, err = strconv.Atoi(string(number))
	return pid, parent, err == nil
}

func cpuOfAll(family []int) (sum time.Duration, err error) {
	for _, pid := range family {
		used, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}

// sharesOf is the memory of all, in bytes: the kernel's Pss, in which each of
// those who share a page has a part of it.
func sharesOf(family []int) (sum int64, err error) {
	for _, pid := range family {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		kib, err := numberAfter(rollup, "\nPss:")
		if err != nil {
			return 0, err
		}
		sum += kib << 10
	}
	return sum, nil
}
