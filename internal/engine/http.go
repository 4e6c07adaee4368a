//go:build unix

package engine

// This file takes over connections of an HTTP server of the caller's.

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/sock"
)

// placeWait is how long a request waits for a place among those that are being
// answered; it tries again after every placePause.
const (
	placeWait  = 5 * time.Second
	placePause = 10 * time.Millisecond
)

// ServeHTTP takes over the connection of r.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	fd, addr, err := g.engine.detach(c)
	if err != nil {
		g.engine.log.Warnf("%s refused: %v", r.RemoteAddr, err)
		return
	}
	peer := peerOf(accept.Conn{Addr: addr, Start: g.engine.backlog.Begin()})
	for began := time.Now(); !g.web.Resume(fd, peer, came); g.engine.sleep(placePause) {
		if g.engine.draining() || time.Since(began) > placeWait {
			_, _ = unix.Write(fd, []byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
			_ = sock.Close(fd)
			return
		}
	}
}

// requestHead writes the head of r as it came, but with Connection: close: another
// request on the connection would be for the caller's server.
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
