package child

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes: SIGTERM, so that the process can end in good order; its pipes are
// closed as well.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGTERM}
}

func untilDead(p *os.Process) (reap func() (*os.ProcessState, error)) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return p.Wait
		}
	}
}

// reader opens the pipe by its name in /proc, which works even if no other process
// can read it any more.
func reader(w *os.File) (fd int, ok bool) {
	c, err := w.SyscallConn()
	if err != nil {
		return -1, false
	}
	_ = c.Control(func(n uintptr) {
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", n), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	return fd, err == nil
}
