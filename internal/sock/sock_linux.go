package sock

import (
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept accepts one connection, nonblocking from the start.
func Accept(fd int) (int, Addr, error) {
	var sa unix.RawSockaddrInet6 // the larger of the two that matter
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, Addr{}, acceptError(errno)
	}
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:]) // at the same place in both
	switch sa.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sa))
		return int(n), Addr{ip: netip.AddrFrom4(in4.Addr).As16(), port: port, inet: true}, nil
	case unix.AF_INET6:
		return int(n), Addr{ip: sa.Addr, port: port, scope: sa.Scope_id, inet: true}, nil
	}
	return int(n), Addr{}, nil
}

// Recv reads what is there. Its error is Again, io.EOF or the system's.
func Recv(fd int, p []byte) (int, error) {
	n, errno := uninterrupted(unix.SYS_READ, fd, p)
	switch {
	case errno == unix.EAGAIN:
		return 0, Again
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// Peek is like Recv but leaves the bytes in the socket.
func Peek(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_PEEK, 0, 0)
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR:
		return 0, Again
	case errno != 0:
		return 0, os.NewSyscallError("recv", errno)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return int(n), nil
}

// Write is write(2) to a file that is not a socket; Again if it is full.
func Write(fd int, p []byte) (int, error) {
	n, errno := uninterrupted(unix.SYS_WRITE, fd, p)
	if errno == unix.EAGAIN {
		return 0, Again
	}
	if errno != 0 {
		return 0, os.NewSyscallError("write", errno)
	}
	return int(n), nil
}

// uninterrupted retries read(2) or write(2) after EINTR: a descriptor that is
// not nonblocking, such as STDIN, may be interrupted. Again would be wrong.
func uninterrupted(call uintptr, fd int, p []byte) (uintptr, unix.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

// Send sends as much of p as fits. A short count means that the socket is full;
// the poller reports it when it is writable again.
func Send(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno == unix.EAGAIN {
		return 0, Again
	}
	if errno != 0 {
		return 0, os.NewSyscallError("send", errno)
	}
	return int(n), nil
}

// SendFile sends n bytes of file from offset on, without a copy. Unlike send(2),
// sendfile(2) also stops short when a signal is pending, and the runtime sends
// signals to a busy loop. The socket, never full, would not become writable. So
// a short count counts as full only if the socket confirms it.
func SendFile(fd, file int, offset int64, n int) (int, error) {
	for done := 0; ; {
		m, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), uintptr(file), uintptr(unsafe.Pointer(&offset)), uintptr(n-done), 0, 0)
		if errno == 0 {
			done += int(m)
		}
		switch {
		case done == n, errno == 0 && m == 0, errno == 0 && full(fd):
			return done, nil
		case errno == 0, errno == unix.EINTR:
			continue
		case done > 0: // the next call will meet the error again
			return done, nil
		case errno == unix.EAGAIN:
			return 0, Again
		}
		return 0, os.NewSyscallError("sendfile", errno)
	}
}

// full reports whether fd is full. The call also arms the notification of fd
// becoming writable (tcp_poll). It costs a tenth of a sendfile(2) on a full
// socket.
func full(fd int) bool {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno == 0 && n == 0
}

// Unacked returns the number of bytes sent on fd that the peer has not
// acknowledged (SIOCOUTQ, tcp(7) and unix(7)). For a Unix socket it includes the
// kernel's overhead.
func Unacked(fd int) (int, error) {
	var n int32
	_, _, errno := syscall.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0, os.NewSyscallError("ioctl SIOCOUTQ", errno)
	}
	return int(n), nil
}

// Unread returns the number of bytes that wait to be read from fd (SIOCINQ,
// tcp(7) and unix(7)).
func Unread(fd int) (int, error) {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	return n, os.NewSyscallError("ioctl SIOCINQ", err)
}

// Silence returns what a TCP peer has not acknowledged (TCP_INFO, tcp(7)).
func Silence(fd int) (Silent, error) {
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return Silent{}, os.NewSyscallError("getsockopt TCP_INFO", errno)
	}
	return Silent{
		Asked:   info.Retransmits > 0 || info.Probes > 0,
		LastAck: time.Duration(info.Last_ack_recv) * time.Millisecond,
	}, nil
}

// BoundUnsent limits the unsent bytes that the kernel accepts on fd to n
// (TCP_NOTSENT_LOWAT, tcp(7)). Without it a stalled client pins megabytes.
// Accepted sockets inherit it.
func BoundUnsent(fd, n int) error {
	return setInt("TCP_NOTSENT_LOWAT", fd, unix.TCP_NOTSENT_LOWAT, n)
}

// BoundProbes makes the kernel probe a peer with a closed window at least once
// per period (TCP_RTO_MAX_MS, Linux 6.15). On older kernels the gaps between
// probes double up to two minutes. Accepted sockets inherit it.
func BoundProbes(fd int, period time.Duration) error {
	const rtoMaxMS = 44
	ms := min(max(period.Milliseconds(), 1000), 120_000)
	return setInt("TCP_RTO_MAX_MS", fd, rtoMaxMS, int(ms))
}

func setInt(name string, fd, option, value int) error {
	v := int32(value)
	_, _, errno := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, uintptr(option), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	if errno != 0 {
		return os.NewSyscallError("setsockopt "+name, errno)
	}
	return nil
}

// Close closes fd.
func Close(fd int) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}

// socket makes a socket that is nonblocking and close-on-exec.
func socket(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return fd, os.NewSyscallError("socket", err)
}
