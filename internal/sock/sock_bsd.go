//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sock

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Accept accepts one connection and makes it nonblocking.
func Accept(fd int) (int, Addr, error) {
	syscall.ForkLock.RLock() // no child may inherit it before it is close-on-exec
	conn, sa, err := unix.Accept(fd)
	if err == nil {
		unix.CloseOnExec(conn)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		var errno unix.Errno
		errors.As(err, &errno)
		return -1, Addr{}, acceptError(errno)
	}
	if err := unix.SetNonblock(conn, true); err != nil {
		unix.Close(conn)
		return -1, Addr{}, os.NewSyscallError("fcntl", err)
	}
	noSigPipe(conn)
	return conn, fromSockaddr(sa), nil
}

// Recv reads what is there. Its error is Again, io.EOF or the system's.
func Recv(fd int, p []byte) (int, error) {
	n, err := uninterrupted(unix.Read, fd, p)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, Again
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Peek is like Recv but leaves the bytes in the socket.
func Peek(fd int, p []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, Again
	case err != nil:
		return 0, os.NewSyscallError("recv", err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write is write(2) to a file that is not a socket; Again if it is full.
func Write(fd int, p []byte) (int, error) {
	n, err := uninterrupted(unix.Write, fd, p)
	if errors.Is(err, unix.EAGAIN) {
		return 0, Again
	}
	return max(n, 0), os.NewSyscallError("write", err)
}

// uninterrupted retries call after EINTR.
func uninterrupted(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Send sends as much of p as fits. A short count means that the socket is full;
// the poller reports it when it is writable again.
func Send(fd int, p []byte) (int, error) {
	n, err := uninterrupted(func(fd int, p []byte) (int, error) {
		return unix.SendmsgN(fd, p, nil, nil, msgNoSignal)
	}, fd, p)
	if errors.Is(err, unix.EAGAIN) {
		return 0, Again
	}
	return max(n, 0), os.NewSyscallError("send", err)
}

// SendFile is never called: without memfd no feed is in a file.
func SendFile(_, _ int, _ int64, _ int) (int, error) {
	return 0, os.NewSyscallError("sendfile", unix.ENOSYS)
}

// Unacked returns the number of bytes sent on fd that the peer has not acknowledged.
func Unacked(fd int) (int, error) {
	n, err := unacked(fd)
	return n, os.NewSyscallError("ask for the send queue", err)
}

// Unread returns the number of bytes that wait to be read from fd (FIONREAD, tty(4)).
func Unread(fd int) (int, error) {
	const fionread = 0x4004667f // the same on all of them; package unix has it for some
	n, err := unix.IoctlGetInt(fd, fionread)
	return n, os.NewSyscallError("ioctl FIONREAD", err)
}

// Silence returns nothing here: the kernel's retransmission timeout closes a
// connection to a dead peer.
func Silence(int) (Silent, error) { return Silent{}, nil }

// BoundUnsent does nothing here; it is for Linux.
func BoundUnsent(_, _ int) error { return nil }

// BoundProbes does nothing here; it is for Linux.
func BoundProbes(int, time.Duration) error { return nil }

// Close closes fd.
func Close(fd int) error { return os.NewSyscallError("close", unix.Close(fd)) }

// socket makes a socket that is nonblocking and close-on-exec.
func socket(family int) (int, error) {
	syscall.ForkLock.RLock() // no child may inherit it before it is close-on-exec
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}
