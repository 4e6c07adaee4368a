package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reopened is f with an open file description of its own, nonblocking, where f
// is a pipe or a terminal: then a goroutine that waits for it waits in the
// runtime's poller and holds no thread, and nobody else who has f notices. In
// every other case it is f itself: a file's position would be lost, a socket
// cannot be opened, a device may be another one each time it is opened.
func reopened(f *os.File, mode int) *os.File {
	fd, ok := descriptor(f)
	if !ok || !isPipe(fd) && !isTerminal(fd) {
		return f
	}
	own, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), mode|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil { // no /proc; a terminal that is another user's, as after su
		return f
	}
	return own
}

// isTerminal reports whether fd is a terminal and not the program's side of a
// pseudo-terminal: to open that one makes a new pair.
func isTerminal(fd int) bool {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return false
	}
	_, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return err != nil
}
