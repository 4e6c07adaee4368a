//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package poll

import (
	"errors"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poller is one loop's kqueue.
type Poller struct {
	// Hold is for epoll only; it has no effect here.
	Hold bool

	fd     int
	wake   [2]int       // a pipe: EVFILT_USER is not everywhere
	open   sync.RWMutex // guards closed
	closed bool
	events [batch]Event
}

// Event is what is ready in one direction of one descriptor.
type Event unix.Kevent_t

// FD returns the descriptor.
func (e *Event) FD() int { return int(e.Ident) }

// Readable reports whether a read may return bytes, the end of file or an error.
func (e *Event) Readable() bool { return int(e.Filter) == unix.EVFILT_READ }

// Writable reports whether the socket can take data again.
func (e *Event) Writable() bool { return int(e.Filter) == unix.EVFILT_WRITE }

// HungUp reports whether the peer shut down its direction.
func (e *Event) HungUp() bool { return e.Readable() && e.Flags&unix.EV_EOF != 0 }

// Gone reports whether both directions are shut.
func (e *Event) Gone() bool { return e.Writable() && e.Flags&unix.EV_EOF != 0 }

// Failed reports whether the socket has a pending error.
func (e *Event) Failed() bool { return e.Flags&unix.EV_EOF != 0 && e.Fflags != 0 }

// New makes a poller.
func New() (*Poller, error) {
	fd, err := unix.Kqueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(fd)
	p := &Poller{fd: fd}
	if err := p.openWake(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return p, nil
}

func (p *Poller) openWake() error {
	if err := unix.Pipe(p.wake[:]); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	for _, end := range p.wake {
		unix.CloseOnExec(end)
		if err := unix.SetNonblock(end, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return p.AddReader(p.wake[0])
}

// Add watches fd for both directions, edge triggered.
func (p *Poller) Add(fd int) error {
	var changes [2]unix.Kevent_t
	unix.SetKevent(&changes[0], fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_CLEAR)
	unix.SetKevent(&changes[1], fd, unix.EVFILT_WRITE, unix.EV_ADD|unix.EV_CLEAR)
	return p.change(changes[:])
}

// AddReader watches fd for reading, level triggered.
func (p *Poller) AddReader(fd int) error {
	// kqueue accepts a file but reports nothing at its end. As with epoll, a
	// goroutine reads a file.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		return ErrNotPollable
	}
	var changes [1]unix.Kevent_t
	unix.SetKevent(&changes[0], fd, unix.EVFILT_READ, unix.EV_ADD)
	err := p.change(changes[:])
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
		return ErrNotPollable
	}
	return err
}

// Remove stops watching fd.
func (p *Poller) Remove(fd int) error {
	for _, filter := range []int{unix.EVFILT_READ, unix.EVFILT_WRITE} {
		var changes [1]unix.Kevent_t
		unix.SetKevent(&changes[0], fd, filter, unix.EV_DELETE)
		// AddReader watches one direction only.
		if err := p.change(changes[:]); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (p *Poller) change(changes []unix.Kevent_t) error {
	_, err := unix.Kevent(p.fd, changes, nil, nil)
	return os.NewSyscallError("kevent", err)
}

// Wait waits for events.
func (p *Poller) Wait(timeout time.Duration) ([]Event, error) {
	var limit *unix.Timespec
	if timeout != Forever {
		ts := unix.NsecToTimespec(timeout.Nanoseconds())
		limit = &ts
	}
	n, err := unix.Kevent(p.fd, nil, unsafe.Slice((*unix.Kevent_t)(&p.events[0]), batch), limit)
	if errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("kevent", err)
	}
	return p.ready(n), nil
}

// ready returns the first n events without those of Wake.
func (p *Poller) ready(n int) []Event {
	events := p.events[:0]
	for _, e := range p.events[:n] {
		if int(e.Ident) == p.wake[0] {
			p.drainWake()
			continue
		}
		events = append(events, e)
	}
	return events
}

func (p *Poller) drainWake() {
	var buf [512]byte
	for {
		if n, err := unix.Read(p.wake[0], buf[:]); n < len(buf) || err != nil {
			return
		}
	}
}

// Wake makes the current or the next Wait return. After Close it does nothing.
func (p *Poller) Wake() error {
	p.open.RLock() // after Close the descriptor may belong to another file
	defer p.open.RUnlock()
	if p.closed {
		return nil
	}
	_, err := unix.Write(p.wake[1], []byte{1})
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	return os.NewSyscallError("write", err)
}

// Close closes the poller. No Wait may be in progress.
func (p *Poller) Close() error {
	p.open.Lock()
	defer p.open.Unlock()
	p.closed = true
	unix.Close(p.wake[0])
	unix.Close(p.wake[1])
	return os.NewSyscallError("close", unix.Close(p.fd))
}
