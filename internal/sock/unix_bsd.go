//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// bindWithMode binds path and listens. It sets the mode between the two calls:
// no client can connect before listen(2).
func bindWithMode(fd int, path string, mode fs.FileMode) error {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}
