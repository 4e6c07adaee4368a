//go:build unix && !linux

package child

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// untilDead reaps at once. While somebody of its group is left nobody else gets
// the number; afterwards a signal could reach another group, if one was made in
// the seconds that we still send any, and was given just that number.
func untilDead(p *os.Process) (reap func() (*os.ProcessState, error)) {
	state, err := p.Wait()
	return func() (*os.ProcessState, error) { return state, err }
}

// reader: a pipe has no name here.
func reader(*os.File) (fd int, ok bool) { return -1, false }
