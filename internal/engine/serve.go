//go:build unix

package engine

// This file serves connections that a listener of the caller's accepts. Each is
// dupped: what remains is a bare descriptor, which a shard can have.

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/sock"
)

// Serve accepts connections from l until the hub ends, and closes l.
func (a *admission) Serve(l net.Listener) error {
	defer l.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-a.engine.backlog.Stopped():
			_ = l.Close()
		case <-ended:
		}
	}()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
		case a.draining():
			return backlog.ErrClosed
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			a.engine.log.Group(cannotAccept, 0, "%s: %v", l.Addr(), err)
			a.sleep(acceptPause)
			continue
		default:
			return err
		}
		fd, addr, err := a.detach(c)
		if errors.Is(err, errNoSocket) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		if err != nil {
			a.engine.log.Group(cannotAccept, 0, "%s refused: %v", c.RemoteAddr(), err)
			continue
		}
		for a.engine.inbox.Deferred() && !a.draining() { // the inbox has no room for a join
			a.sleep(placePause)
		}
		if !a.accepted(fd, addr) {
			return backlog.ErrClosed
		}
	}
}

// cannotAccept groups connections for which the system has no room.
var cannotAccept = logger.Kind{Of: "refused: the system has no room"}

// errNoSocket is the error for a connection that a loop cannot poll.
var errNoSocket = errors.New("it must be a TCP or Unix socket")

// sleep pauses for d, or until the hub drains.
func (a *admission) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-a.engine.backlog.Stopped():
	}
}

// accepted has the first shard admit a connection, and waits for that, so that
// Serve does not accept faster than it admits. It is false if the hub has closed.
func (a *admission) accepted(fd int, addr sock.Addr) bool {
	return a.engine.loops[0].call(func() {
		if a.draining() {
			_ = sock.Close(fd)
		} else {
			a.engine.loops[0].admit(accept.Conn{FD: int32(fd), Addr: addr})
		}
	})
}

// detach duplicates the descriptor of c, sets its options as those of our own
// listeners are set, and closes c.
func (a *admission) detach(c net.Conn) (fd int, addr sock.Addr, err error) {
	defer c.Close()
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		addr = sock.AddrFrom(tcp.AddrPort())
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return -1, addr, fmt.Errorf("%T has no descriptor: %w", c, errNoSocket)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, addr, err
	}
	if e := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) // nonblocking as the old one
	}); e != nil {
		return -1, addr, e
	}
	if err == nil {
		err = a.engine.prepare(fd, addr.IsUnix())
	}
	return fd, addr, err
}

// draining reports whether the hub takes nobody in any more.
func (a *admission) draining() bool {
	select {
	case <-a.engine.backlog.Stopped():
		return true
	default:
		return false
	}
}
