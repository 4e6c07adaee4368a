//go:build unix

package hubbub

// This file is how what a client of hubbub.v1 sends arrives once, although its
// connection breaks: its messages have numbers, and the hub remembers the last
// of each session.
//
//	claim    a goroutine  a connection says that it continues a session, and goes to
//	                      the loop that had it before: what is told of it is in order
//	take     that loop    gives it the session; whoever had that is ended first, so
//	                      that the number stands still
//	follows  that loop    whether a message is the next
//	leave    that loop    a connection has ended; the session waits for another
//
// What waits is bounded, and who fills it loses its own: when there are too many,
// the oldest goes of the address that has the most.

import (
	"container/heap"
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

const (
	// sessionKept is how long a session is remembered after its connection,
	// and mostSessions how many of those are.
	sessionKept  = 10 * time.Minute
	mostSessions = 10_000

	// siteBits is how much of an IPv6 address its owner cannot choose.
	siteBits = 64
)

// session is one client's numbers, from connection to connection.
type session struct {
	token string
	loop  *loop // of all its connections

	// Only its loop touches it.
	last uint64 // the highest number taken; 0: none yet

	// Guarded by sessions.mu.
	owner  *client
	claims int // under way
	idle   idle
}

// idle is a session's place among those that nobody has.
type idle struct {
	since  time.Time
	all    *list.Element
	site   *site
	ofSite *list.Element
}

// site is where idle sessions are from.
type site struct {
	of    netip.Addr
	idle  list.List // the longest first
	place int       // in sessions.sites
}

// sessions are all that the hub remembers.
type sessions struct {
	most  int // idle ones
	mu    sync.Mutex
	known map[string]*session
	idle  list.List // the longest first
	sites sites
	from  map[netip.Addr]*site
}

// claim has c continue the session of this name.
func (s *sessions) claim(h *Hub, token string, c *client) {
	x := s.open(token, h.fewest())
	c.more().session = x
	x.loop.assigned.Add(1)
	x.loop.post(c)
}

// open finds the session of this name, or makes it, on a loop, so that it is not
// forgotten meanwhile.
func (s *sessions) open(token string, on *loop) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	x := s.known[token]
	if x == nil {
		if s.known == nil {
			s.known = map[string]*session{}
		}
		x = &session{token: token, loop: on}
		s.known[token] = x
	}
	x.claims++
	s.wake(x)
	return x
}

// take gives c the session that it claims, if it does.
func (s *sessions) take(c *client) {
	if c.extra == nil || c.extra.session == nil {
		return
	}
	x := c.extra.session
	s.mu.Lock()
	older := x.owner
	x.owner = c
	x.claims--
	s.mu.Unlock()
	if older != nil {
		x.loop.cut(older, ending.Because(proto.ReasonReplaced, "replaced by a newer connection of its session"))
	}
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
	x.owner = nil
	switch {
	case x.claims > 0: // another is about to have it
	case x.last == 0: // nothing was said, so there is nothing to remember
		delete(s.known, x.token)
	default:
		s.lay(x, siteOf(c.addr))
		s.forget()
	}
}

// lay has x wait for somebody from this address. The caller holds mu.
func (s *sessions) lay(x *session, address netip.Addr) {
	from := s.from[address]
	if from == nil {
		if s.from == nil {
			s.from = map[netip.Addr]*site{}
		}
		from = &site{of: address}
		s.from[address] = from
		heap.Push(&s.sites, from)
	}
	x.idle = idle{time.Now(), s.idle.PushBack(x), from, from.idle.PushBack(x)}
	heap.Fix(&s.sites, from.place)
}

// wake has x wait no more, if it does. The caller holds mu.
func (s *sessions) wake(x *session) {
	from := x.idle.site
	if from == nil {
		return
	}
	s.idle.Remove(x.idle.all)
	from.idle.Remove(x.idle.ofSite)
	x.idle = idle{}
	if from.idle.Len() > 0 {
		heap.Fix(&s.sites, from.place)
		return
	}
	heap.Remove(&s.sites, from.place)
	delete(s.from, from.of)
}

// forget forgets what is too old or too much. The caller holds mu.
func (s *sessions) forget() {
	for e := s.idle.Front(); e != nil; e = s.idle.Front() {
		x := e.Value.(*session)
		switch {
		case time.Since(x.idle.since) >= sessionKept:
		case s.idle.Len() > s.most:
			x = s.sites[0].idle.Front().Value.(*session)
		default:
			return
		}
		s.wake(x)
		delete(s.known, x.token)
	}
}

// siteOf is an address without what its owner may choose.
func siteOf(a sock.Addr) netip.Addr {
	ip := a.AddrPort().Addr().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(siteBits) // it has as many
		return network.Addr()
	}
	return ip
}

// sites is a heap: the one with the most idle sessions first.
type sites []*site

func (s sites) Len() int           { return len(s) }
func (s sites) Less(i, j int) bool { return s[i].idle.Len() > s[j].idle.Len() }

func (s sites) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

func (s *sites) Push(x any) {
	from := x.(*site)
	from.place = len(*s)
	*s = append(*s, from)
}

func (s *sites) Pop() any {
	last := len(*s) - 1
	from := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return from
}

// follows says whether message n is a new one: not one that was taken already.
// The error says that one before it is missing.
func (x *session) follows(n uint64) (fresh bool, err error) {
	if x.last > 0 && n > x.last+1 {
		return false, fmt.Errorf("message %d after %d: what lies between is missing", n, x.last)
	}
	return n > x.last, nil
}
