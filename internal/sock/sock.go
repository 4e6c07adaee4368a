//go:build unix

// Package sock is the sockets: listen, accept, receive, send, and the option
// table. It knows nothing of readiness; that is package poll's.
//
// Every descriptor here is nonblocking from birth, so every call returns at
// once, and on Linux none tells the scheduler of it: a call that cannot sleep
// needs no second thread to stand in, and telling costs a fifth of a send.
// "Would block" is the value Again, which means later, never closed.
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
//	func Silence(fd int) (Silent, error)         what the peer left unanswered
//	func Close(fd int) error
package sock

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// Again says that nothing could be done without waiting.
	Again = errors.New("would block")

	// ErrNoDescriptors says that the process or the system has no descriptor
	// (or no memory for a socket) left: EMFILE, ENFILE, ENOBUFS, ENOMEM.
	ErrNoDescriptors = errors.New("out of descriptors")
)

// MaxSend is the most bytes that one Send or SendFile may be given: a call
// that the scheduler does not hear of must be short.
const MaxSend = 1 << 20

// Silent is what a TCP peer left unanswered.
type Silent struct {
	Asked   bool          // something was sent again, or a window probe is out
	LastAck time.Duration // since the last acknowledgement came
}

// EndSending is shutdown(2) of our direction: the peer reads to the end of
// what was sent, then the end of file.
func EndSending(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

// Reset closes fd at once and lets the kernel forget what it still held for
// the peer, who sees a reset.
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

// SetKeepAlive makes the kernel ask a peer that has been silent for period
// whether it lives, and end the connection within period more when no answer
// comes. Accepted sockets inherit it from their listener on Linux.
func SetKeepAlive(fd int, period time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_KEEPALIVE", err)
	}
	idle := max(1, int(period/time.Second))
	// Three questions within the second period; the kernel counts in seconds.
	interval := max(1, idle/4)
	count := max(1, min(3, idle/interval-1))
	return setKeepAlive(fd, idle, interval, count)
}

// acceptError sorts what accept(2) says.
func acceptError(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN:
		return Again
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return ErrNoDescriptors
	}
	return os.NewSyscallError("accept", errno)
}
