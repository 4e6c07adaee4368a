package sock

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// bindWithMode binds path and listens. On Linux the mode of the socket before
// bind is the mode of the file (less the umask, which is then mended while
// the file is not yet open to anyone), so it is never more open than asked.
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
