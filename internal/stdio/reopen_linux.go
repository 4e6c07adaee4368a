package stdio

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Reopen opens the file of fd again, nonblocking, with a description of its own.
// The caller closes it. mode is O_RDONLY or O_WRONLY. It works for pipes and
// terminals only: a file would lose its position, a socket cannot be opened, and a
// device may differ each time. The system may refuse, for example another user's
// terminal.
func Reopen(fd, mode int) (own int, ok bool) {
	if !IsPipe(fd) && !isTerminal(fd) {
		return -1, false
	}
	// Not os.OpenFile, which would enter it in the runtime's poller.
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	return own, err == nil
}

// isTerminal is false for the master of a pseudo-terminal: opening it makes a new
// pair.
func isTerminal(fd int) bool {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return false
	}
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return err != nil
}
