//go:build unix

package web

// This file is who may be served: as many connections at once as there are
// places.
//
//	Take      a loop        takes a place for a connection, or another's
//	changed   its goroutine a connection has a request, waits for another, ends
//	writes    its goroutine an answer is sent, or has been
//	leave     its goroutine gives the place back: it became a stream, or a post,
//	                        or is only being seen off
//	back      its goroutine a post has ended and wants a place again
//
// When all places are taken and somebody wants one, who has waited longest for
// another request goes, then who has not taken an answer for patience.

import (
	"container/list"
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
	idle    *list.List // *conn, that wait for another request; the longest first
	writing *list.List // *conn, whose answer is being sent; the longest first
	wanted  bool       // somebody was sent away
	alarmed bool       // and will be told to come again
	closed  bool
	posts   map[*conn]*body // that are being read
	all     int             // connections there are
	none    chan struct{}   // closed when there are none any more, after close
}

func (p *places) start(n int) {
	p.free, p.idle, p.writing, p.posts, p.none = n, list.New(), list.New(), map[*conn]*body{}, make(chan struct{})
}

// Take serves the connection fd, which is nonblocking. It is false if all
// places are taken or the server is closed; fd then stays the caller's. It
// never blocks.
func (s *Server) Take(fd int, p Peer) bool { return s.Resume(fd, p, nil) }

// Resume is Take for a connection of which others have read what came.
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
	s.queue.conns <- c // there is room for as many as there are places
	return true
}

// Connections is how many connections there are.
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

// dispensable takes who may go out of the lists, if anybody.
func (p *places) dispensable() *conn {
	if longest := p.idle.Front(); longest != nil {
		c := p.idle.Remove(longest).(*conn)
		c.idle = nil
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

// askAgain has who was sent away come again, when somebody may have lost his
// place.
func (s *Server) askAgain() {
	if s.places.alarmed {
		return
	}
	s.places.alarmed = true
	time.AfterFunc(patience, func() {
		s.mu.Lock()
		s.places.alarmed = false
		room := s.places.room()
		s.mu.Unlock()
		if room {
			s.o.Room()
		}
	})
}

// writes says that c's answer is being sent, or has been.
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

// leave gives c's place to others, if it has one.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	room := false
	if c.seated {
		c.seated = false
		s.places.free++
		room = s.places.room()
	}
	s.mu.Unlock()
	if room {
		s.o.Room()
	}
}

// room says whether somebody waits for the place that came free.
func (p *places) room() bool {
	wanted := p.wanted
	p.wanted = false
	return wanted && !p.closed
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
		if c.idle != nil {
			s.places.idle.Remove(c.idle)
			c.idle = nil
		}
		s.mu.Unlock()
	case http.StateIdle:
		s.mu.Lock()
		room := false
		if c.seated {
			c.idle = s.places.idle.PushBack(c)
			room = s.places.room()
		} else {
			c.hangUp()
		}
		s.mu.Unlock()
		if room {
			s.o.Room()
		}
	case http.StateClosed:
		s.gone(c)
	case http.StateNew, http.StateHijacked: // stream.go sees to what is hijacked
	}
}

// gone forgets c, once.
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
	if c.idle != nil {
		p.idle.Remove(c.idle)
		c.idle = nil
	}
	p.all--
	p.settle()
}

// settle tells who waits that all are gone.
func (p *places) settle() {
	if p.closed && p.all == 0 {
		close(p.none)
	}
}

// close lets nobody in any more, and ends the bodies that are being read.
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

// waitForAll waits until all connections are gone.
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
	return still(s.places.all)
}
