//go:build unix

package accept

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/sock"
)

// acceptSlice is how many connections one listener gives in a turn.
const acceptSlice = 64

// Poller is what an acceptor needs of its loop.
type Poller interface {
	AddReader(fd int) error
	Remove(fd int) error
}

// Acceptor is the listeners, and a descriptor to let go when there is no
// other. It belongs to one loop. The zero value accepts nothing.
type Acceptor struct {
	poller    Poller
	listeners []*sock.Listener
	ready     []*sock.Listener // connections wait there
	watching  bool
	reserve   *int // a descriptor; nil for none
}

// NewAcceptor makes an acceptor without listeners.
func NewAcceptor(p Poller) Acceptor { return Acceptor{poller: p, reserve: openReserve()} }

// openReserve opens a descriptor only to have it; nil if there is none.
func openReserve() *int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return &fd
}

// Add begins to accept from ls.
func (a *Acceptor) Add(ls []*sock.Listener) error {
	for _, ln := range ls {
		if err := a.poller.AddReader(ln.FD); err != nil {
			return err
		}
		a.listeners = append(a.listeners, ln)
	}
	a.watching = true
	return nil
}

// Close ends accepting for good.
func (a *Acceptor) Close() {
	CloseAll(a.listeners)
	a.listeners, a.ready = nil, nil
}

// CloseReserve gives the reserve up.
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

// Event reports whether fd is a listener's, which then has connections.
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

// Watching reports whether connections are told of.
func (a *Acceptor) Watching() bool { return a.watching }

// Watch begins or ends to hear of connections: a listener that is not
// accepted from would tell of them on and on.
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

// Failure is a listener that gives no connections, and why.
type Failure struct {
	Listener *sock.Listener
	Err      error
}

// OutOfDescriptors reports whether there is no descriptor for another connection.
func (f *Failure) OutOfDescriptors() bool { return errors.Is(f.Err, sock.ErrNoDescriptors) }

// Accept gives each the connections that wait, a slice of every listener, as
// long as it wants more.
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

// AcceptWithReserve lets the reserve go to accept one connection, which is to
// be told why nobody else is.
func (a *Acceptor) AcceptWithReserve(ln *sock.Listener) (c Conn, ok bool) {
	if a.reserve == nil {
		return Conn{}, false
	}
	a.CloseReserve()
	fd, addr, err := sock.Accept(ln.FD)
	return Conn{FD: int32(fd), Addr: addr, Port: ln.Protocol}, err == nil
}

// Renew has a reserve again, if there is a descriptor for it.
func (a *Acceptor) Renew() bool {
	if a.reserve == nil {
		a.reserve = openReserve()
	}
	return a.reserve != nil
}
