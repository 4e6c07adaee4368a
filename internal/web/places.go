//go:build unix

package web

// This file limits the connections served at once. Each needs a place.
//
//	Take      a loop        takes a free place for a connection, or evicts another
//	changed   its goroutine a connection has a request, waits for another, closes
//	writes    its goroutine an answer is sent, or has been
//	leave     its goroutine frees the place: the connection became a stream or a
//	                        post, or lingers
//	back      its goroutine a post has ended and wants a place again
//
// When all places are taken, a new connection evicts the one that has waited
// longest for another request, then one that has not taken an answer for patience.

import (
	"container/list"
	"fmt"
	"net"
	"net/http"
	"time"
)

// patience is how long an answer may be untaken when others wait. A stalled
// client is noticed only after it has requested megabytes of answers.
const patience = 100 * time.Millisecond

// places is guarded by Server.mu.
type places struct {
	free    int
	idle    *list.List // of *conn that wait for another request, the longest first
	writing *list.List // of *conn whose answer is being sent, the longest first
	wanted  bool       // a connection was turned away
	freed   bool       // unlock calls Room, if one is wanted
	alarmed bool       // a timer will set freed
	closed  bool
	posts   map[*conn]*body // bodies being read
	all     int             // the number of connections
	none    chan struct{}   // closed after close, when no connection is left
}

func (p *places) start(n int) {
	p.free, p.idle, p.writing, p.posts, p.none = n, list.New(), list.New(), map[*conn]*body{}, make(chan struct{})
}

// Take serves the nonblocking connection fd. It returns false if all places are
// taken or the server is closed; then fd stays the caller's. It never blocks.
func (s *Server) Take(fd int, p Peer) bool { return s.Resume(fd, p, nil) }

// Resume is Take for a connection from which the caller has read input.
func (s *Server) Resume(fd int, p Peer, came []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places.closed || !s.places.seat() {
		s.places.wanted = true
		s.askAgain()
		return false
	}
	c := &conn{fd: fd, server: s, peer: p, came: came, seated: true}
	s.places.all++
	s.queue.conns <- c // its capacity is the number of places
	return true
}

// Connections returns the number of connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.all
}

// seat takes a place.
func (p *places) seat() bool {
	if p.free > 0 {
		p.free--
		return true
	}
	c := p.dispensable()
	if c == nil {
		return false
	}
	c.seated, c.evicted = false, true
	c.hangUp()
	return true
}

// dispensable removes a connection that can be evicted from its list; nil if there
// is none.
func (p *places) dispensable() *conn {
	if longest := p.idle.Front(); longest != nil {
		c := longest.Value.(*conn)
		p.leaveIdle(c)
		return c
	}
	for e := p.writing.Front(); e != nil; e = e.Next() {
		c := e.Value.(*conn)
		if time.Since(c.wrote) < patience {
			return nil
		}
		if c.seated {
			return c // it leaves the list itself
		}
	}
	return nil
}

// leaveIdle removes c from the connections that wait for another request.
func (p *places) leaveIdle(c *conn) {
	if c.idle != nil {
		p.idle.Remove(c.idle)
		c.idle = nil
	}
}

// askAgain calls Room later, when a connection may have become dispensable.
func (s *Server) askAgain() {
	if s.places.alarmed {
		return
	}
	s.places.alarmed = true
	time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.unlock()
		s.places.alarmed, s.places.freed = false, true
	})
}

// unlock unlocks mu, and calls Room if a connection was turned away and may come now.
func (s *Server) unlock() {
	p := &s.places
	room := p.freed && p.wanted && !p.closed
	if p.freed {
		p.freed, p.wanted = false, false
	}
	s.mu.Unlock()
	if room {
		s.o.Room()
	}
}

// writes records that c's answer is being sent, or has been.
func (s *Server) writes(c *conn, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		c.wrote = time.Now()
		c.writing = s.places.writing.PushBack(c)
		return
	}
	s.places.writing.Remove(c.writing)
}

// leave frees c's place, if it has one.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.unlock()
	if c.seated {
		c.seated = false
		s.places.free++
		s.places.freed = true
	}
}

// back gives c a place again, if there is one.
func (s *Server) back(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.places.closed && s.places.seat() {
		c.seated = true
	}
	return c.seated
}

// changed follows a connection through net/http.
func (s *Server) changed(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	switch state {
	case http.StateActive:
		s.mu.Lock()
		s.places.leaveIdle(c)
		s.mu.Unlock()
	case http.StateIdle:
		s.mu.Lock()
		defer s.unlock()
		if c.seated {
			c.idle = s.places.idle.PushBack(c)
			s.places.freed = true
		} else {
			c.hangUp()
		}
	case http.StateClosed:
		s.gone(c)
	case http.StateNew, http.StateHijacked: // stream.go handles hijacked connections
	}
}

// gone removes c, once.
func (s *Server) gone(c *conn) {
	s.leave(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone {
		return
	}
	c.gone = true
	p := &s.places
	delete(p.posts, c)
	p.leaveIdle(c)
	p.all--
	p.settle()
}

// settle closes none when no connection is left.
func (p *places) settle() {
	if p.closed && p.all == 0 {
		close(p.none)
	}
}

// close admits no further connection and closes the bodies being read.
func (p *places) close() {
	if p.closed {
		return
	}
	p.closed = true
	for c := range p.posts {
		_ = c.SetReadDeadline(past)
	}
	p.settle()
}

// waitForAll waits until all connections are closed.
func (s *Server) waitForAll(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.places.none:
		return nil
	case <-timer.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.places.all; n > 0 {
		return fmt.Errorf("web: %d requests are still running", n)
	}
	return nil
}
