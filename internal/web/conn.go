//go:build unix

package web

// This file is a bare descriptor as net/http wants it, a net.Conn, and the
// listener that gives them to it.
//
// It is not net.FileConn's, which sets TCP_NODELAY and the keepalive anew,
// whatever was chosen for the socket.

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

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// conn is one connection while it is served. Its descriptor is made to be
// read and written by one goroutine, and hung up by any.
type conn struct {
	fd       int
	file     *os.File // fd's, once net/http has it
	server   *Server
	peer     Peer
	requests int    // its goroutine's
	came     []byte // what was read of it before it came here
	lengths  lengths

	// Guarded by Server.mu.
	seated  bool // it has a place
	evicted bool // it had one, and another has got it
	gone    bool // it is no longer counted
	idle    *list.Element
	writing *list.Element
	wrote   time.Time // it began to
}

// open makes the descriptor a file that can be waited for. A loop has no time
// for that, so it is not Take that does it.
func (c *conn) open() error {
	c.file = os.NewFile(uintptr(c.fd), c.peer.Addr)
	return c.file.SetDeadline(time.Time{}) // os.NewFile itself does not say whether it can
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

// opError is a file's error as a net.Error: net/http asks it for timeouts.
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

// CloseWrite ends what is sent; net/http does so before it closes on who
// still sends, half a second later.
func (c *conn) CloseWrite() error {
	c.server.leave(c)
	return c.shutdown(unix.SHUT_WR)
}

// hangUp ends both directions, so that the connection's goroutine closes it.
// Close itself would wait for that.
func (c *conn) hangUp() { _ = c.shutdown(unix.SHUT_RDWR) }

func (c *conn) shutdown(how int) error {
	var err error
	if e := c.control(func(fd int) { err = unix.Shutdown(fd, how) }); e != nil {
		return e
	}
	return os.NewSyscallError("shutdown", err)
}

// dup is another descriptor for the same socket. (File.Fd would make the
// socket a blocking one.)
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

// addr is what is known of an end.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

// connKey is where a request's context has its connection.
type connKey struct{}

func rememberConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// queue is the listener whose connections come from Take.
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

func (*queue) Close() error   { return nil } // ends with its context
func (*queue) Addr() net.Addr { return addr{network: "hubbub"} }

// clear closes what nobody has accepted.
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
