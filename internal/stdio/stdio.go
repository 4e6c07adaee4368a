//go:build unix

// Package stdio is the care that the standard files need: they are pipes,
// terminals and files that others have too, the shell among them, and
// O_NONBLOCK belongs to the open file description, which all share. So it is
// never set on one; where it can be had, Reopen gives a description of our own.
//
// Each platform defines:
//
//	func Reopen(fd, mode int) (own int, ok bool)
package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

// Descriptor is f's number. (f.Fd would make f blocking.)
func Descriptor(f *os.File) (fd int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = c.Control(func(n uintptr) { fd = int(n) })
	return fd, err == nil
}

// IsPipe says that fd is a pipe, with a name or without.
func IsPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
