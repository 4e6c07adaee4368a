//go:build unix

package accept

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/sock"
)

// acceptSlice is how many connections a turn accepts from one listener.
const acceptSlice = 64

// Poller is what an acceptor needs of a loop.
type Poller interface {
	AddReader(fd int) error
	Remove(fd int) error
}

// Acceptor has the listeners, and a reserve descriptor to close when no other is
// left. It belongs to one loop. The zero value accepts nothing.
type Acceptor struct {
	poller    Poller
	listeners []*sock.Listener
	ready     []*sock.Listener // connections wait there
	watching  bool
	reserve   *int // a descriptor; nil for none
}

// NewAcceptor makes an acceptor without listeners.
func NewAcceptor(p Poller) Acceptor {
	return Acceptor{poller: p, watching: true, reserve: openReserve()}
}

// openReserve opens the reserve; nil if that fails.
func openReserve() *int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &fd
}

// Add starts to accept from ls, as soon as listeners are watched. If it fails, it
// closes all of ls.
func (a *Acceptor) Add(ls []*sock.Listener) error {
	if a.watching {
		for _, ln := range ls {
			if err := a.poller.AddReader(ln.FD); err != nil {
				CloseAll(ls)
				return fmt.Errorf("%s: %w", ln, err)
			}
		}
	}
	a.listeners = append(a.listeners, ls...)
	return nil
}

// Close ends accepting for good.
func (a *Acceptor) Close() {
	CloseAll(a.listeners)
	a.listeners, a.ready = nil, nil
}

// CloseReserve closes the reserve.
func (a *Acceptor) CloseReserve() {
	if a.reserve != nil {
		_ = sock.Close(*a.reserve)
		a.reserve = nil
	}
}

// CloseAll closes listeners that nobody accepts from.
func CloseAll(ls []*sock.Listener) {
	for _, ln := range ls {
		_ = ln.Close()
	}
}

// Event handles an event of fd. It reports whether fd is a listener.
func (a *Acceptor) Event(fd int) bool {
	for _, ln := range a.listeners {
		if ln.FD == fd {
			a.ready = append(a.ready, ln)
			return true
		}
	}
	return false
}

// HasReady reports whether connections wait.
func (a *Acceptor) HasReady() bool { return len(a.ready) > 0 }

// Watching reports whether the poller watches the listeners.
func (a *Acceptor) Watching() bool { return a.watching }

// Watch starts or stops watching the listeners: one that is not accepted from
// would wake the loop again and again.
func (a *Acceptor) Watch(on bool) (err error) {
	if a.watching == on {
		return nil
	}
	a.watching, a.ready = on, a.ready[:0]
	for _, ln := range a.listeners {
		var one error
		if on {
			one = a.poller.AddReader(ln.FD)
		} else {
			one = a.poller.Remove(ln.FD)
		}
		if one != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", ln, one))
		}
	}
	return err
}

// Failure is a failed accept.
type Failure struct {
	Listener *sock.Listener
	Err      error
}

// OutOfDescriptors reports whether no descriptor is left.
func (f *Failure) OutOfDescriptors() bool { return errors.Is(f.Err, sock.ErrNoDescriptors) }

// Accept accepts a slice of connections from every ready listener, as long as each
// wants more.
func (a *Acceptor) Accept(each func(c Conn) (more bool)) (failed []Failure) {
	for _, ln := range a.ready {
		for range acceptSlice {
			fd, addr, err := sock.Accept(ln.FD)
			if err != nil {
				if !errors.Is(err, sock.Again) && !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EINTR) {
					failed = append(failed, Failure{ln, err})
				}
				break
			}
			if !each(Conn{FD: int32(fd), Addr: addr, Port: ln.Protocol}) {
				break
			}
		}
	}
	a.ready = a.ready[:0]
	return failed
}

// AcceptWithReserve closes the reserve to accept one connection, which can then be
// told why it is refused.
func (a *Acceptor) AcceptWithReserve(ln *sock.Listener) (c Conn, ok bool) {
	if a.reserve == nil {
		return Conn{}, false
	}
	a.CloseReserve()
	fd, addr, err := sock.Accept(ln.FD)
	return Conn{FD: int32(fd), Addr: addr, Port: ln.Protocol}, err == nil
}

// Renew opens the reserve again, and reports whether it is open.
func (a *Acceptor) Renew() bool {
	if a.reserve == nil {
		a.reserve = openReserve()
	}
	return a.reserve != nil
}
