//go:build unix

package web

// This file reads messages from a body, which may be endless. A post frees its
// place while its body is read, so that posts do not lock others out. It counts as
// a client meanwhile.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// body is a request's body; it remembers how it ended.
type body struct {
	q      *request
	err    error
	closed bool // guarded by Server.mu
}

func (b *body) Read(p []byte) (int, error) {
	b.q.s.listens(b)
	n, err := b.q.r.Body.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close makes Read fail from now on, including one that waits. Any goroutine may
// call it.
func (b *body) Close() error {
	s, c := b.q.s, b.q.c
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places.posts[c] != b {
		return nil // the body has ended, and the connection may have another request
	}
	b.closed = true
	return c.SetReadDeadline(past)
}

// post handles POST /.
func (q *request) post() {
	s, err := parse(q.r, Post)
	if err != nil {
		q.refuse(http.StatusBadRequest, err.Error())
		return
	}
	if e := q.r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		q.w.Header().Set("Accept-Encoding", "identity")
		q.refuse(http.StatusUnsupportedMediaType, "Content-Encoding is not supported; send the body as it is")
		return
	}
	if !q.r.ProtoAtLeast(1, 1) && len(q.r.Header["Content-Length"]) == 0 {
		q.refuse(http.StatusLengthRequired, "a POST in HTTP/1.0 needs Content-Length")
		return
	}
	if err := q.s.o.Full(); err != nil {
		q.busy(err)
		return
	}
	if !q.admitted(&s) {
		return
	}
	b := &body{q: q}
	if !q.s.posting(b) {
		q.busy(ErrEnding)
		return
	}
	q.reading = true
	// Not the request's context: that ends when the client closes its side after
	// the body, but the body still counts.
	err = q.s.o.Post(q.s.ctx, q.c.peer, s.Name, b)
	ending := q.s.posted(q.c)
	if err == nil {
		err = b.err
	}
	q.afterPost(err, b.err, ending)
}

// afterPost answers with the result.
func (q *request) afterPost(err, read error, ending bool) {
	if (err == nil || q.r.ContentLength == 0) && !q.s.back(q.c) {
		q.w.Header().Set("Connection", "close") // without a place it cannot send another request
	}
	refused, isRefused := errors.AsType[Refused](err)
	switch {
	case err == nil:
		q.w.Header().Set("Cache-Control", "no-store")
		q.w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrTooLong):
		q.refuse(http.StatusRequestEntityTooLarge, err.Error())
	case errors.Is(err, ErrIncomplete):
		q.refuse(http.StatusBadRequest, err.Error())
	case isRefused:
		q.brokenOff = read != nil
		q.refuse(http.StatusForbidden, refused.Error())
	case ending:
		q.busy(ErrEnding)
	case errors.Is(read, os.ErrDeadlineExceeded):
		q.refuse(http.StatusRequestTimeout, fmt.Sprintf("no byte of the body for %s", q.s.o.BodyTimeout))
	case read != nil:
		q.refuse(http.StatusBadRequest, "incomplete body: "+read.Error())
	default:
		q.busy(err)
	}
}

// posting frees the place while b is read, without a deadline for the whole body.
// It returns false if the server is closing.
func (s *Server) posting(b *body) bool {
	c := b.q.c
	s.mu.Lock()
	closed := s.places.closed
	if !closed {
		s.places.posts[c] = b
		_ = c.SetDeadline(time.Time{})
	}
	s.mu.Unlock()
	s.leave(c)
	return !closed
}

// listens restarts BodyTimeout: time spent waiting for the reader does not count.
func (s *Server) listens(b *body) {
	if s.o.BodyTimeout <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.places.closed && !b.closed {
		_ = b.q.c.SetReadDeadline(time.Now().Add(s.o.BodyTimeout))
	}
}

// posted restores the limits of an answer. It returns true if the server is
// closing.
func (s *Server) posted(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places.posts, c)
	_ = c.SetDeadline(time.Now().Add(s.o.AnswerTimeout))
	return s.places.closed
}
