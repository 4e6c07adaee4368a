package stdio

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Reopen opens what fd is once more: the new descriptor is nonblocking, to be
// closed by the caller, and nobody else who has fd notices. Mode is O_RDONLY
// or O_WRONLY. Only pipes and terminals can be had so: a file's position would
// be lost, a socket cannot be opened, a device may be another one each time;
// and the system may refuse, as it does a terminal that is another user's.
func Reopen(fd, mode int) (own int, ok bool) {
	if !IsPipe(fd) && !isTerminal(fd) {
		return -1, false
	}
	// Not os.OpenFile, which would enter it in the runtime's poller.
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	return own, err == nil
}

// isTerminal is false for the program's side of a pseudo-terminal: to open
// that one makes a new pair.
func isTerminal(fd int) bool {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return false
	}
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return err != nil
}
