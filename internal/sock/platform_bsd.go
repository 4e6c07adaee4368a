//go:build dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const msgNoSignal = unix.MSG_NOSIGNAL

func noSigPipe(int) {}

// unacked uses FIONWRITE (ioctl(2)). Its number differs per system; OpenBSD and
// DragonFly lack it.
func unacked(fd int) (int, error) {
	switch runtime.GOOS {
	case "freebsd":
		return unix.IoctlGetInt(fd, 0x40046677)
	case "netbsd":
		return unix.IoctlGetInt(fd, 0x40046679)
	}
	return 0, unix.ENOTSUP
}
