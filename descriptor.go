//go:build unix

package hubbub

import (
	"os"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/stdio"
)

// ownDescriptor is a descriptor of our own for f. Where it can be had it has
// an open file description of its own as well, ours, which is nonblocking:
// the flag belongs to the description, and f's may be shared with the shell
// and with other programs, which O_NONBLOCK would break.
func ownDescriptor(f *os.File, mode int) (fd int, ours bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	var dupErr error
	// Not f.Fd(), which would make the description blocking.
	err = conn.Control(func(old uintptr) {
		if fd, ours = stdio.Reopen(int(old), mode); ours {
			return
		}
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = os.NewSyscallError("fcntl", dupErr)
	}
	return fd, ours, err
}
