package sock

import "golang.org/x/sys/unix"

const (
	keepIdle    = unix.TCP_KEEPALIVE
	msgNoSignal = 0 // SO_NOSIGPIPE does it
)

func noSigPipe(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
}

func unacked(fd int) (int, error) {
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
}
