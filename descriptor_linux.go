package hubbub

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reopen gives a pipe or a terminal a second, nonblocking description. It is
// less than 0 for everything else: a file's position would be lost, a socket
// cannot be opened, another device may be another one each time; and where
// the system refuses, as it does a terminal that is another user's.
func reopen(fd, mode int) int {
	if !isPipe(fd) && !isTerminal(fd) {
		return -1
	}
	own, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), mode|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return own
}

func isPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
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
