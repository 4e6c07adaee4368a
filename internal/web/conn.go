//go:build unix

package web

// This file wraps a bare descriptor in the net.Conn that net/http needs, and has
// the listener that returns them.
//
// It does not use net.FileConn, which overrides the TCP_NODELAY and keepalive that
// were set on the socket.

import (
	"container/list"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// conn is one connection being served. One goroutine reads and writes it; any may
// hang up.
type conn struct {
	fd       int
	file     *os.File // fd's, once net/http has it
	server   *Server
	peer     Peer
	requests int    // belongs to its goroutine
	came     []byte // what was read from it before Take
	lengths  lengths

	// Guarded by Server.mu.
	seated  bool // it has a place
	evicted bool // it lost its place to another
	gone    bool // it is no longer counted
	idle    *list.Element
	writing *list.Element
	wrote   time.Time // when it began to
}

// open registers the descriptor with the runtime's poller. Take leaves that to the
// connection's goroutine, since a loop has no time for it.
func (c *conn) open() error {
	c.file = os.NewFile(uintptr(c.fd), c.peer.Addr)
	return c.file.SetDeadline(time.Time{}) // fails if os.NewFile could not register it
}

func (c *conn) Read(b []byte) (int, error) {
	var n int
	var err error
	if len(c.came) > 0 {
		n = copy(b, c.came)
		c.came = c.came[n:]
	} else {
		n, err = c.file.Read(b)
	}
	c.lengths.read(b[:n])
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	c.server.writes(c, true)
	n, err := c.file.Write(b)
	c.server.writes(c, false)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// opError wraps a file's error in a net.Error: net/http checks it for timeouts.
func (c *conn) opError(op string, err error) error {
	if perr, ok := errors.AsType[*fs.PathError](err); ok {
		err = perr.Err
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: c.network(), Addr: c.RemoteAddr(), Err: err}
}

func (c *conn) Close() error                       { return c.file.Close() }
func (c *conn) SetDeadline(t time.Time) error      { return c.file.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.file.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// CloseWrite shuts down our direction. net/http calls it half a second before it
// closes a connection that still sends.
func (c *conn) CloseWrite() error {
	c.server.leave(c)
	return c.shutdown(unix.SHUT_WR)
}

// hangUp shuts down both directions, so that the connection's goroutine closes it.
// Close itself would wait for that goroutine.
func (c *conn) hangUp() { _ = c.shutdown(unix.SHUT_RDWR) }

func (c *conn) shutdown(how int) error {
	var err error
	if e := c.control(func(fd int) { err = unix.Shutdown(fd, how) }); e != nil {
		return e
	}
	return os.NewSyscallError("shutdown", err)
}

// dup returns another descriptor for the same socket. (File.Fd would make the
// socket blocking.)
func (c *conn) dup() (int, error) {
	fd, err := -1, error(nil)
	if e := c.control(func(old int) { fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("fcntl", err)
}

func (c *conn) control(f func(fd int)) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

func (c *conn) LocalAddr() net.Addr  { return addr{network: c.network()} }
func (c *conn) RemoteAddr() net.Addr { return addr{network: c.network(), text: c.peer.Addr} }

func (c *conn) network() string {
	if c.peer.Unix {
		return "unix"
	}
	return "tcp"
}

// addr is the address of an end.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

// connKey is the key of the connection in a request's context.
type connKey struct{}

func rememberConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// queue is a listener of the connections that Take passes to it.
type queue struct {
	conns  chan *conn
	closed <-chan struct{}
}

func (q *queue) Accept() (net.Conn, error) {
	for {
		select {
		case c := <-q.conns:
			err := c.open()
			if err == nil {
				return c, nil
			}
			c.server.o.Logf("%s cannot be served: %v", c.peer.Addr, err)
			_ = c.Close()
			c.server.gone(c)
		case <-q.closed:
			return nil, net.ErrClosed
		}
	}
}

func (*queue) Close() error   { return nil } // it closes with its context
func (*queue) Addr() net.Addr { return addr{network: "hubbub"} }

// clear closes the connections that were not accepted.
func (q *queue) clear() {
	for {
		select {
		case c := <-q.conns:
			_ = unix.Close(c.fd)
			c.server.gone(c)
		default:
			return
		}
	}
}
