//go:build unix

package stdio

import (
	"os"

	"golang.org/x/sys/unix"
)

// Own opens a descriptor of our own for f. Where the system allows it, the
// descriptor has its own open file description too (ours), which is
// nonblocking: the flag belongs to the description, and f's may be shared with
// the shell and other programs, which O_NONBLOCK would break.
func Own(f *os.File, mode int) (fd int, ours bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	var dupErr error
	// Not f.Fd(), which would make the description blocking.
	err = conn.Control(func(old uintptr) {
		if fd, ours = Reopen(int(old), mode); ours {
			return
		}
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = os.NewSyscallError("fcntl", dupErr)
	}
	return fd, ours, err
}
