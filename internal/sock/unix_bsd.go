//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// bindWithMode binds path and listens. Nobody can connect before listen, so
// the mode set between the two is in force from the first instant that counts.
func bindWithMode(fd int, path string, mode fs.FileMode) error {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}
