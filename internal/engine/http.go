//go:build unix

package engine

// This file is how connections come that the hub has not accepted itself:
//
//	Serve      from a listener of the caller's
//	ServeHTTP  from an HTTP server of the caller's
//
// Each is dupped: what remains is a bare descriptor, which a loop can have.

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/sock"
)

// Serve accepts connections from l, which it closes at the end.
func (h *Engine) Serve(l net.Listener) error {
	defer l.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-h.backlog.Stopped():
			_ = l.Close()
		case <-ended:
		}
	}()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
		case h.draining():
			return backlog.ErrClosed
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			h.log.Group(cannotAccept, 0, "%s: %v", l.Addr(), err)
			h.sleep(acceptPause)
			continue
		default:
			return err
		}
		fd, addr, err := h.detach(c)
		if errors.Is(err, errNoSocket) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		if err != nil {
			h.log.Group(cannotAccept, 0, "%s refused: %v", c.RemoteAddr(), err)
			continue
		}
		for h.inbox.Deferred() && !h.draining() { // joins find no room
			h.sleep(placePause)
		}
		if !h.accepted(fd, addr) {
			return backlog.ErrClosed
		}
	}
}

// cannotAccept are connections for which the system has no room.
var cannotAccept = logger.Kind{Of: "refused: the system has no room"}

// errNoSocket is a connection that a loop cannot have.
var errNoSocket = errors.New("it must be a TCP or Unix socket")

// sleep pauses for d, or until the hub drains.
func (h *Engine) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-h.backlog.Stopped():
	}
}

// accepted has the first loop admit a connection, and waits until it has, so
// that nobody accepts faster than it admits. It is false if the hub has closed.
func (h *Engine) accepted(fd int, addr sock.Addr) bool {
	return h.onFirstLoop(func() {
		if h.draining() {
			_ = sock.Close(fd)
		} else {
			h.loops[0].admit(accept.Conn{FD: int32(fd), Addr: addr})
		}
	})
}

// detach makes c a bare descriptor, prepared as those of our own listeners
// are, and closes c.
func (h *Engine) detach(c net.Conn) (fd int, addr sock.Addr, err error) {
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
		err = h.prepare(fd, addr.IsUnix())
	}
	return fd, addr, err
}

// placeWait is how long a request waits for a place among those that are being
// answered, and placePause how often it looks.
const (
	placeWait  = 5 * time.Second
	placePause = 10 * time.Millisecond
)

// ServeHTTP takes the connection of r over.
func (h *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.TLS != nil {
		http.Error(w, "hubbub: a hub needs a connection of HTTP/1 without TLS; let a proxy end TLS", http.StatusNotImplemented)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "hubbub: "+err.Error(), http.StatusNotImplemented)
		return
	}
	buffered, _ := rw.Peek(rw.Reader.Buffered()) // it is there
	came := slices.Concat(requestHead(r), buffered)
	fd, addr, err := h.detach(c)
	if err != nil {
		h.log.Warnf("%s refused: %v", r.RemoteAddr, err)
		return
	}
	peer := peerOf(accept.Conn{Addr: addr, Start: h.backlog.Begin()})
	for began := time.Now(); !h.web.Resume(fd, peer, came); h.sleep(placePause) {
		if h.draining() || time.Since(began) > placeWait {
			_, _ = unix.Write(fd, []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
			_ = sock.Close(fd)
			return
		}
	}
}

// requestHead is the head of r as it came. It says that the connection ends
// with r: a further request on it would be for whoever r came from.
func requestHead(r *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Proto, r.Host)
	fmt.Fprintf(&b, "Connection: %s\r\n", strings.Join(append(r.Header.Values("Connection"), "close"), ", "))
	if len(r.TransferEncoding) > 0 {
		fmt.Fprintf(&b, "Transfer-Encoding: %s\r\n", strings.Join(r.TransferEncoding, ", "))
	}
	_ = r.Header.WriteSubset(&b, map[string]bool{"Connection": true}) // a Buffer takes all
	b.WriteString("\r\n")
	return b.Bytes()
}

// draining reports whether the hub takes nobody in any more.
func (h *Engine) draining() bool {
	select {
	case <-h.backlog.Stopped():
		return true
	default:
		return false
	}
}
