package sock

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// bindWithMode binds path and listens. On Linux the socket's mode before bind(2)
// becomes the file's mode, less the umask; chmod then restores those bits. So
// the file is never more open than asked.
func bindWithMode(fd int, path string, mode fs.FileMode) error {
	if err := unix.Fchmod(fd, uint32(mode)); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}
