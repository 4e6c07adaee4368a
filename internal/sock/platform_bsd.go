//go:build dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const msgNoSignal = unix.MSG_NOSIGNAL

func noSigPipe(int) {}

// unacked asks with FIONWRITE (ioctl(2)), which is not the same number
// everywhere, and not there at all on OpenBSD and DragonFly.
func unacked(fd int) (int, error) {
	switch runtime.GOOS {
	case "freebsd":
		return unix.IoctlGetInt(fd, 0x40046677)
	case "netbsd":
		return unix.IoctlGetInt(fd, 0x40046679)
	}
	return 0, unix.ENOTSUP
}
