//go:build linux

package poll

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A goroutine that sleeps in a system call loses its P after 20 µs. Getting it
// back wakes the runtime's monitor thread every 20 µs for a millisecond: up to a
// third more CPU at 60 broadcasts a second, measured. So a loop waits in one of
// two ways:
//
//	hold   epoll_wait unknown to the scheduler: the loop keeps its P. The
//	       runtime's preemption signal interrupts the call (EINTR), so garbage
//	       collection can still start. It lasts holdFor after the last event.
//	park   the runtime's poller watches the epoll descriptor, and the goroutine
//	       waits there as for any connection: an idle loop costs no thread, no P
//	       and no CPU.

// holdFor is how long a loop keeps its P after its last event. Tests change it.
var holdFor = time.Second

// Poller is one loop's epoll instance.
type Poller struct {
	// Hold lets Wait keep the P for a while. Set it before the first Wait, and
	// only if GOMAXPROCS leaves a P for the other goroutines.
	Hold bool

	fd   int
	wake int      // an eventfd, edge triggered, so it is never read
	file *os.File // fd, registered with the runtime's poller
	conn syscall.RawConn

	events [batch]unix.EpollEvent
	found  int
	failed error
	open   sync.RWMutex // guards closed
	closed bool
	look   func(uintptr) bool // park's condition, made once
}

// Event is what is ready on one descriptor.
type Event unix.EpollEvent

// FD returns the descriptor.
func (e *Event) FD() int { return int(e.Fd) }

// Readable reports whether a read may return bytes, the end of file or an error.
func (e *Event) Readable() bool { return e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 }

// Writable reports whether the socket can take data again.
func (e *Event) Writable() bool { return e.Events&unix.EPOLLOUT != 0 }

// HungUp reports whether the peer shut down its direction, or both are shut.
func (e *Event) HungUp() bool { return e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 }

// Gone reports whether both directions are shut.
func (e *Event) Gone() bool { return e.Events&unix.EPOLLHUP != 0 }

// Failed reports whether the socket has a pending error.
func (e *Event) Failed() bool { return e.Events&unix.EPOLLERR != 0 }

// New makes a poller.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller{fd: fd, wake: wake}
	p.look = func(uintptr) bool {
		p.found, p.failed = p.wait(0)
		return p.found > 0 || p.failed != nil
	}
	if err := p.nest(); err != nil {
		unix.Close(fd)
		unix.Close(wake)
		return nil, err
	}
	return p, nil
}

// nest makes fd itself a descriptor that the runtime's poller watches.
func (p *Poller) nest() error {
	if err := p.control(unix.EPOLL_CTL_ADD, p.wake, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return err
	}
	// os.NewFile registers only nonblocking descriptors with its poller.
	if err := unix.SetNonblock(p.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	conn, err := p.file.SyscallConn()
	p.conn = conn
	return err
}

// Add watches fd for both directions, edge triggered.
func (p *Poller) Add(fd int) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddReader watches fd for reading, level triggered.
func (p *Poller) AddReader(fd int) error {
	err := p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
	if errors.Is(err, unix.EPERM) {
		return ErrNotPollable
	}
	return err
}

// Remove stops watching fd.
func (p *Poller) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, 0)
}

// control calls epoll_ctl(2), which never sleeps, without telling the scheduler.
func (p *Poller) control(op, fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Wait waits for events, first holding, then parked.
func (p *Poller) Wait(timeout time.Duration) ([]Event, error) {
	if timeout == 0 {
		n, err := p.wait(0)
		return p.ready(n), err
	}
	if p.Hold {
		hold := holdFor
		if timeout != Forever {
			hold = min(hold, timeout)
			timeout -= hold
		}
		n, err := p.hold(hold)
		if n != 0 || err != nil || timeout == 0 {
			return p.ready(n), err
		}
	}
	return p.park(timeout)
}

// hold waits in epoll_wait, again after each signal. Between two calls the
// scheduler may preempt the goroutine.
func (p *Poller) hold(timeout time.Duration) (int, error) {
	for end := time.Now().Add(timeout); timeout > 0; timeout = time.Until(end) {
		n, err := p.wait(int((timeout + time.Millisecond - 1) / time.Millisecond))
		if n != 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// park waits in the runtime's poller.
func (p *Poller) park(timeout time.Duration) ([]Event, error) {
	var deadline time.Time
	if timeout != Forever {
		deadline = time.Now().Add(timeout)
	}
	if err := p.file.SetReadDeadline(deadline); err != nil {
		return nil, fmt.Errorf("park in the runtime's poller: %w", err)
	}
	p.found, p.failed = 0, nil
	err := p.conn.Read(p.look)
	p.relieve()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err == nil {
		err = p.failed
	}
	return p.ready(p.found), err
}

// relieve makes another thread watch the runtime's poller. The thread that
// watched it now runs this goroutine and is about to hold its P. The runtime
// starts no other thread for a single goroutine. Its monitor sleeps when the
// program was idle, and a system call unknown to it does not wake it. So no
// parked goroutine would wake before the hold ends. A new goroutine wakes a
// thread.
func (p *Poller) relieve() {
	if p.Hold {
		go func() {}()
	}
}

// wait returns one epoll_wait(2). It returns 0 after a signal too.
//
//go:noinline
func (p *Poller) wait(ms int) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), batch, uintptr(ms), 0, 0)
	if errno == unix.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, os.NewSyscallError("epoll_pwait", errno)
	}
	return int(n), nil
}

// ready returns the first n events without those of Wake.
func (p *Poller) ready(n int) []Event {
	events := unsafe.Slice((*Event)(unsafe.Pointer(&p.events[0])), batch)[:n]
	for i := range events {
		if events[i].FD() == p.wake {
			events[i] = events[n-1]
			return events[:n-1]
		}
	}
	return events
}

// Wake makes the current or the next Wait return. After Close it does nothing.
func (p *Poller) Wake() error {
	p.open.RLock() // after Close the descriptor may belong to another file
	defer p.open.RUnlock()
	if p.closed {
		return nil
	}
	one := uint64(1)
	_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.wake), uintptr(unsafe.Pointer(&one)), 8)
	if errno != 0 && errno != unix.EAGAIN {
		return os.NewSyscallError("write", errno)
	}
	return nil
}

// Close closes the poller. No Wait may be in progress.
func (p *Poller) Close() error {
	p.open.Lock()
	defer p.open.Unlock()
	p.closed = true
	unix.Close(p.wake)
	return p.file.Close()
}
