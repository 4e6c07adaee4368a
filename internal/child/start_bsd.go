//go:build unix && !linux

package child

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// untilDead reaps at once. While a process of the group is left, no other group
// gets the number. After that a signal could reach another group, if one got just
// that number in the seconds in which we still send signals.
func untilDead(p *os.Process) (reap func() (*os.ProcessState, error)) {
	state, err := p.Wait()
	return func() (*os.ProcessState, error) { return state, err }
}

// reader: a pipe has no name here.
func reader(*os.File) (fd int, ok bool) { return -1, false }
