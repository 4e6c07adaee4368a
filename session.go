//go:build unix

package hubbub

// This file is how what a client of hubbub.v1 sends arrives once, although its
// connection breaks: its messages have numbers, and the hub remembers the last
// of each session.
//
//	claim    a goroutine  a connection says that it continues a session: whoever
//	                      had that is ended first, so that the number stands still
//	follows  a loop       whether a message is the next
//	leave    a loop       a connection has ended; the session waits for another

import (
	"container/list"
	"fmt"
	"sync"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/sock"
)

const (
	// sessionKept is how long a session is remembered after its connection,
	// and mostSessions how many of those are.
	sessionKept  = 10 * time.Minute
	mostSessions = 10_000
)

// session is one client's numbers, from connection to connection.
type session struct {
	// Only the loop of the client that has it touches it.
	last uint64 // the highest number taken; 0: none yet

	token    string
	claiming sync.Mutex // one claim at a time

	// Guarded by sessions.mu.
	owner *client
	loop  *loop
	ended time.Time
	idle  *list.Element // its place among those that nobody has
}

// sessions are all that the hub remembers.
type sessions struct {
	mu    sync.Mutex
	known map[string]*session
	idle  list.List // the longest first
}

// claim gives c, which loop to is to get, the session of this name, and posts
// it there. A client that had the session is ended first.
func (s *sessions) claim(h *Hub, token string, c *client, to *loop) {
	x := s.open(token)
	x.claiming.Lock()
	defer x.claiming.Unlock()
	s.mu.Lock()
	owner, loop := x.owner, x.loop
	s.mu.Unlock()
	if owner != nil {
		ended := make(chan struct{})
		loop.do(func() {
			loop.cutWith(owner, codec.CloseRefused, "replaced by a newer connection of its session")
			close(ended)
		})
		select {
		case <-ended:
		case <-h.closed:
			_ = sock.Close(int(c.fd))
			return
		}
	}
	s.mu.Lock()
	x.owner, x.loop = c, to
	if x.idle != nil { // the owner has left by itself meanwhile
		s.idle.Remove(x.idle)
		x.idle = nil
	}
	s.mu.Unlock()
	c.more().session = x
	to.post(c)
}

// open finds the session of this name, or makes it, so that it is not forgotten
// meanwhile.
func (s *sessions) open(token string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	x := s.known[token]
	if x == nil {
		if s.known == nil {
			s.known = map[string]*session{}
		}
		x = &session{token: token}
		s.known[token] = x
	}
	if x.idle != nil {
		s.idle.Remove(x.idle)
		x.idle = nil
	}
	return x
}

// leave is the end of c, which may have a session.
func (s *sessions) leave(c *client) {
	if c.extra == nil || c.extra.session == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := c.extra.session
	if x.owner != c {
		return // another has it, or nobody may
	}
	x.owner, x.loop = nil, nil
	x.ended = time.Now()
	x.idle = s.idle.PushBack(x)
	s.forget()
}

// forget forgets what is too old or too much. The caller holds mu.
func (s *sessions) forget() {
	for e := s.idle.Front(); e != nil; e = s.idle.Front() {
		x := e.Value.(*session)
		if s.idle.Len() <= mostSessions && time.Since(x.ended) < sessionKept {
			return
		}
		s.idle.Remove(e)
		delete(s.known, x.token)
	}
}

// follows says whether message n is a new one: not one that was taken already.
// The error says that one before it is missing.
func (x *session) follows(n uint64) (fresh bool, err error) {
	if x.last > 0 && n > x.last+1 {
		return false, fmt.Errorf("message %d after %d: what lies between is missing", n, x.last)
	}
	return n > x.last, nil
}
