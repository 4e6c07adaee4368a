//go:build unix

package web

// This file hands a connection back as a stream.
//
//	stream      writes the head of an endless answer
//	webSocket   checks the handshake and answers it
//	handOver    passes on the descriptor, with the bytes after the request

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"hubbub.example/internal/proto"
)

// stream answers with the head of a stream, and hands the connection over.
func (q *request) stream(kind Kind, contentType string) {
	s, err := parse(q.r, kind)
	if err != nil {
		q.refuse(http.StatusBadRequest, err.Error())
		return
	}
	if err := q.s.o.Full(); err != nil {
		q.busy(err)
		return
	}
	h := q.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for more
	if q.r.Method == http.MethodHead {
		q.w.WriteHeader(http.StatusOK)
		return
	}
	if !q.admitted(&s) {
		return
	}
	q.becomes(s, func() (*bufio.ReadWriter, error) {
		_, rw, err := http.NewResponseController(q.w).Hijack()
		if err != nil {
			return nil, err
		}
		_ = q.c.SetWriteDeadline(time.Now().Add(q.s.o.AnswerTimeout))
		_, err = q.c.Write(head(h))
		return rw, err
	})
}

// head returns the head of an endless answer.
func head(h http.Header) []byte {
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a Buffer takes all
	b.WriteString("\r\n")
	return b.Bytes()
}

// webSocket answers a handshake.
func (q *request) webSocket() {
	s, err := parse(q.r, WebSocket)
	if err != nil {
		q.refuse(http.StatusBadRequest, err.Error())
		return
	}
	if code, why := checkHandshake(q.r); code != 0 {
		if code == http.StatusUpgradeRequired {
			q.w.Header().Set("Connection", "Upgrade")
			q.w.Header().Set("Upgrade", "websocket")
			q.w.Header().Set("Sec-WebSocket-Version", "13")
		}
		q.refuse(code, why)
		return
	}
	chosen := http.Header{}
	if slices.Contains(tokens(q.r.Header, "Sec-WebSocket-Protocol"), proto.Subprotocol) {
		s.Kind = V1
		chosen.Set("Sec-WebSocket-Protocol", proto.Subprotocol)
		if s.Session != "" && !sessionToken.MatchString(s.Session) {
			q.refuse(http.StatusBadRequest, "session must be 16 to 64 letters, digits, - or _")
			return
		}
	}
	if err := q.s.o.Full(); err != nil {
		q.busy(err)
		return
	}
	if !q.admitted(&s) {
		return
	}
	q.becomes(s, func() (*bufio.ReadWriter, error) {
		// The protocol is chosen already: the upgrader may read the header
		// differently. It uses only the first of several Connection headers.
		q.r.Header.Set("Connection", "Upgrade")
		u := ws.HTTPUpgrader{Timeout: q.s.o.AnswerTimeout, Header: chosen}
		_, rw, _, err := u.Upgrade(q.r, q.w)
		return rw, err
	})
}

// checkHandshake returns the status that refuses a bad handshake, or 0 (RFC 6455,
// section 4.2.1). The upgrader checks too, but only after hijacking the
// connection.
func checkHandshake(r *http.Request) (code int, why string) {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "a WebSocket needs HTTP/1.1"
	case !hasToken(r.Header, "Connection", "upgrade"):
		return http.StatusBadRequest, "a WebSocket needs Connection: Upgrade"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "unsupported WebSocket version; use Sec-WebSocket-Version: 13"
	case err != nil || len(key) != 16:
		return http.StatusBadRequest, "a WebSocket needs a Sec-WebSocket-Key of 16 bytes in base64"
	}
	return 0, ""
}

// becomes turns the connection into stream s: answer hijacks it and sends the head of
// the answer.
func (q *request) becomes(s Stream, answer func() (*bufio.ReadWriter, error)) {
	// Before the hijack, a stream can still be refused with an answer.
	fd, err := q.c.dup()
	if err != nil {
		q.busy(err)
		return
	}
	s.FD, s.Peer, s.First = fd, q.c.peer, q.c.requests == 1
	if s.Kind != V1 {
		s.Session = ""
	}
	s.Begin = q.s.o.Begin(s)
	rw, err := answer()
	// Only now, so that few descriptors wait for answers.
	defer q.s.gone(q.c)
	_ = q.c.Close()
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		q.s.o.Debugf("%s: no stream: %v", q.r.RemoteAddr, err)
		return
	}
	buffered, _ := rw.Peek(rw.Reader.Buffered()) // it is there
	s.Input = slices.Concat(buffered, q.c.came)
	q.s.o.Stream(s)
}
