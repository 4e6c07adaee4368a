//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// descriptor is f's number. (f.Fd would make f blocking.)
func descriptor(f *os.File) (fd int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = c.Control(func(n uintptr) { fd = int(n) })
	return fd, err == nil
}

func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
