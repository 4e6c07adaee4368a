//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// load is all clients of a server, on one epoll, in the calling thread. It is as bare
// as the floors, so as not to be the bottleneck. But it reads what it receives:
// README.md says why.
type load struct {
	port    int
	epoll   int
	clients []client
	got     int64 // bytes received by all but deaf clients
	lost    int   // clients the server disconnected, except deaf ones
	unread  []int // clients with more data than they read in one turn
	events  []unix.EpollEvent
	buf     []byte

	want  []byte     // if set, what each client must receive
	watch *stopwatch // if set, it times each line

	// For clients that are not raw: protocol.go.
	speaks  *protocol
	ask     []byte         // the protocol's request
	heads   map[int][]byte // by descriptor: the beginning of a response
	opened  int            // responses received
	stream  []byte         // what each client receives after it
	ends    []int          // ends of the messages in stream
	seen    int            // bytes of want found in stream
	whole   int            // messages received by all clients
	parting bool           // clients are leaving; ignore what they receive
}

// client is one connection.
type client struct {
	fd   int
	got  int64 // bytes received, without a response's head
	deaf bool  // see socket
	gone bool
	ends bool // an end of file follows what is to be read
	more bool // it is among the unread

	// Not raw:
	opened bool // it has received the head of its response
	whole  int  // messages received, or responses
}

// socket is the options of a client's socket.
type socket struct {
	mss, rcvbuf int  // TCP_MAXSEG and SO_RCVBUF; 0 leaves the system's
	deaf        bool // reads only when take is called
}

func newLoad(port int) (*load, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &load{
		port:   port,
		epoll:  epoll,
		events: make([]unix.EpollEvent, 1024),
		buf:    make([]byte, 64<<10),
		heads:  make(map[int][]byte),
	}, nil
}

// speak sets the protocol of the clients that connect from now on; nil: raw.
func (l *load) speak(f *protocol) {
	if l.speaks = f; f != nil {
		l.ask = f.requestTo(l.port)
	}
}

// connect adds n clients.
func (l *load) connect(n int, s socket) error {
	for range n {
		fd, err := l.dial(len(l.clients), s)
		if err != nil {
			return fmt.Errorf("client %d: %w", len(l.clients), err)
		}
		l.clients = append(l.clients, client{fd: fd, deaf: s.deaf})
		if err := watch(l.epoll, fd, len(l.clients)-1, s.interest()); err != nil {
			return err
		}
		if l.speaks == nil || l.speaks.again || s.deaf {
			continue
		}
		if n, errno := bareSend(fd, l.ask); errno != 0 || n < len(l.ask) {
			return fmt.Errorf("client %d: send: %w", len(l.clients)-1, errno)
		}
	}
	return nil
}

// renew replaces a client that is gone by a new connection.
func (l *load) renew(i int, s socket) error {
	fd, err := l.dial(i, s)
	if err != nil {
		return fmt.Errorf("client %d: %w", i, err)
	}
	l.clients[i] = client{fd: fd, deaf: s.deaf}
	return watch(l.epoll, fd, i, s.interest())
}

func (s socket) interest() uint32 {
	if s.deaf {
		return unix.EPOLLRDHUP | unix.EPOLLET
	}
	return unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
}

func (l *load) dial(i int, s socket) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := s.prepare(fd); err != nil {
		bareClose(fd)
		return -1, err
	}
	// Several source addresses: finding a free port of one takes longer the more
	// of them are in use.
	source := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i/4096)}}
	if err := unix.Bind(fd, source); err != nil {
		bareClose(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	server := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.port}
	if err := unix.Connect(fd, server); err != nil {
		bareClose(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

func (s socket) prepare(fd int) error {
	// Closing resets: thousands of clients leave no TIME_WAIT behind.
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	for _, option := range []struct{ level, name, value int }{
		{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1},
		{unix.IPPROTO_TCP, unix.TCP_MAXSEG, s.mss},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, s.rcvbuf},
	} {
		if option.value == 0 {
			continue
		}
		if err := unix.SetsockoptInt(fd, option.level, option.name, option.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

func (l *load) close() {
	for _, c := range l.clients {
		if !c.gone {
			bareClose(c.fd)
		}
	}
	bareClose(l.epoll)
}

// dismiss forgets all clients, which are gone.
func (l *load) dismiss() {
	l.clients, l.unread, l.lost, l.opened, l.parting = nil, nil, 0, 0, false
}

// poll waits for data, at most so long, and reads it.
func (l *load) poll(wait time.Duration) error {
	unread := l.unread
	if len(unread) > 0 {
		wait, l.unread = 0, nil
	}
	for _, event := range bareWait(l.epoll, l.events, wait) {
		c := &l.clients[event.Fd]
		c.ends = c.ends || event.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
		if c.deaf && c.ends && !c.gone {
			l.lose(c)
		}
		if err := l.drain(int(event.Fd)); err != nil {
			return err
		}
	}
	for _, i := range unread {
		l.clients[i].more = false
		if err := l.drain(i); err != nil {
			return err
		}
	}
	return nil
}

// turn is how often a client reads before the others do. A socket may hold many MiB:
// if each were read to its end, hundreds of others would pause for a second and count
// as stalled.
const turn = 4

// drain reads what a client has, up to a turn's worth. A short read empties the
// socket, unless an end of file follows.
func (l *load) drain(i int) error {
	c := &l.clients[i]
	if c.deaf || c.more {
		return nil
	}
	for range turn {
		n, err := l.take(c, len(l.buf))
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		if n == 0 || n < len(l.buf) && !c.ends {
			return nil
		}
	}
	c.more = true
	l.unread = append(l.unread, i)
	return nil
}

// take reads at most so many bytes of what a client has; 0 when it has none, or is gone.
func (l *load) take(c *client, most int) (int, error) {
	if c.gone {
		return 0, nil
	}
	n, errno := bareRecv(c.fd, l.buf[:most])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0 || n == 0:
		l.lose(c)
		return 0, nil
	}
	return n, l.received(c, n)
}

func (l *load) received(c *client, n int) error {
	if l.parting {
		return nil
	}
	if l.speaks != nil {
		return l.understood(c, l.buf[:n])
	}
	from, to := c.got, c.got+int64(n)
	if l.want != nil && (to > int64(len(l.want)) || !bytes.Equal(l.buf[:n], l.want[from:to])) {
		return fmt.Errorf("what came at byte %d is not what was sent", from)
	}
	if l.watch != nil && !c.deaf {
		l.watch.arrived(from, to)
	}
	c.got = to
	if !c.deaf {
		l.got += int64(n)
	}
	return nil
}

func (l *load) lose(c *client) {
	bareClose(c.fd)
	c.gone = true
	if !c.deaf {
		l.lost++
	}
}
