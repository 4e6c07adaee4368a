//go:build unix

// Package sock wraps the socket calls: listen, accept, receive and send, and has
// the table of socket options. Readiness is the job of package poll.
//
// Every descriptor here is nonblocking from the start, so every call returns at
// once. On Linux the calls bypass the scheduler: a call that cannot sleep needs
// no other thread, and entersyscall costs a fifth of a send.
// A call that would block returns Again.
//
// Each platform defines:
//
//	func Accept(fd int) (int, Addr, error)       accept4(2); Again, ErrNoDescriptors
//	func Recv(fd int, p []byte) (int, error)     read(2); Again, io.EOF
//	func Peek(fd int, p []byte) (int, error)     recv(2) with MSG_PEEK; Again, io.EOF
//	func Write(fd int, p []byte) (int, error)    write(2); Again
//	func Send(fd int, p []byte) (int, error)     send(2); Again; fewer bytes than p: full now
//	func SendFile(fd, file int, offset int64, n int) (int, error)   sendfile(2), likewise
//	func Unacked(fd int) (int, error)            bytes sent that the peer has not acknowledged
//	func Unread(fd int) (int, error)             bytes that wait to be read
//	func Silence(fd int) (Silent, error)         what the peer has not acknowledged
//	func Close(fd int) error
package sock

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// Again means that the call would block (EAGAIN).
	Again = errors.New("would block")

	// ErrNoDescriptors means that the process or the system has run out of
	// descriptors or socket memory: EMFILE, ENFILE, ENOBUFS, ENOMEM.
	ErrNoDescriptors = errors.New("out of descriptors")
)

// Silent describes what a TCP peer has not acknowledged.
type Silent struct {
	Asked   bool          // data was retransmitted, or a window probe is out
	LastAck time.Duration // since the last acknowledgement came
}

// EndSending shuts down our direction (shutdown(2)): the peer reads the rest of
// what was sent, then the end of file.
func EndSending(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// Reset closes fd at once and discards unsent data; the peer sees a reset.
func Reset(fd int) error {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	return Close(fd)
}

// PendingError takes the socket's pending error (SO_ERROR), nil for none.
func PendingError(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if code == 0 {
		return nil
	}
	return unix.Errno(code)
}

// SetKeepAlive makes the kernel probe a peer that has been silent for period,
// and close the connection if no answer comes within another period. On Linux
// accepted sockets inherit it from their listener.
func SetKeepAlive(fd int, period time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_KEEPALIVE", err)
	}
	idle := max(1, int(period/time.Second))
	// Three probes within the second period; the kernel counts in seconds.
	interval := max(1, idle/4)
	count := max(1, min(3, idle/interval-1))
	return setKeepAlive(fd, idle, interval, count)
}

// acceptError classifies the errors of accept(2).
func acceptError(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN:
		return Again
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return ErrNoDescriptors
	}
	return os.NewSyscallError("accept", errno)
}
