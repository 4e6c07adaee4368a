//go:build linux

package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"
)

// These floors are what one writes with net/http. They are ordinary programs,
// with the collector as it comes.

// floorUpgrade makes each request a WebSocket, and holds it until its client
// ends it.
func floorUpgrade() {
	floorHTTP(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for err == nil {
			_, _, err = c.Read(context.Background())
		}
	})
}

// floorLetGo makes each request a WebSocket and holds nothing of it but a
// descriptor, as a hub may. When nobody has come or gone for a while it gives all
// memory back that it can: what then stays is the runtime's own.
func floorLetGo() {
	epoll := need(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	calm := time.NewTimer(letGoAfter)
	go func() {
		for range calm.C {
			debug.FreeOSMemory()
			debug.FreeOSMemory()
		}
	}()
	go closeEnded(epoll, func() { calm.Reset(letGoAfter) })
	floorHTTP(func(w http.ResponseWriter, r *http.Request) {
		h := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
		c, b, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(h[:]))
		_ = b.Flush()
		if fd, err := bareCopy(c); err == nil {
			_ = watch(epoll, fd, fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
		}
		_ = c.Close()
		calm.Reset(letGoAfter)
	})
}

const letGoAfter = 10 * time.Second

// bareCopy returns a descriptor of c that Go does not know.
func bareCopy(c net.Conn) (fd int, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	if controlErr := raw.Control(func(known uintptr) { fd, err = unix.Dup(int(known)) }); controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

// closeEnded closes whose client ends, and says so. All that a client says is
// goodbye, which is answered (RFC 6455, section 5.5.1).
func closeEnded(epoll int, ended func()) {
	events := make([]unix.EpollEvent, 1024)
	for {
		n, _ := unix.EpollWait(epoll, events, -1)
		for _, event := range events[:max(n, 0)] {
			_, _ = bareSend(int(event.Fd), []byte{0x88, 0})
			bareClose(int(event.Fd))
			ended()
		}
	}
}

// floorPost writes what is posted to STDOUT.
func floorPost() {
	floorHTTP(func(w http.ResponseWriter, r *http.Request) {
		p, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = os.Stdout.Write(p)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func floorHTTP(answer http.HandlerFunc) {
	debug.SetGCPercent(100)
	must(http.Serve(listenAnywhere(), answer))
}
