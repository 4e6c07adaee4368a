//go:build unix

// Package stdio opens the standard files for nonblocking use. The shell and other
// programs share them, and O_NONBLOCK belongs to the shared open file description.
// So the package never sets it there; where possible, Reopen opens a description
// of our own.
//
// Each platform defines:
//
//	func Reopen(fd, mode int) (own int, ok bool)
package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

// Descriptor returns f's descriptor. (f.Fd would make f blocking.)
func Descriptor(f *os.File) (fd int, ok bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = c.Control(func(n uintptr) { fd = int(n) })
	return fd, err == nil
}

// IsPipe reports whether fd is a pipe, named or not.
func IsPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}
