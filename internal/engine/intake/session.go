//go:build unix

package intake

// This file has the sessions of hubbub.v1. A client's messages have numbers, and the
// hub remembers the last number of each session: so each message is received once,
// although connections break.
//
//	Claim    any goroutine: a connection continues a session, and goes to the shard
//	         that had it before, so joins and leaves stay in order
//	Take     that shard: gives it the session; the older connection must be closed
//	         first, so that the number does not change any more
//	follows  that shard: reports whether a message is the next
//	Leave    that shard: a connection has ended; the session is idle
//
// Idle sessions are bounded: when there are too many, the address with the most loses
// its oldest.

import (
	"container/heap"
	"container/list"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"hubbub.example/internal/sock"
)

const (
	// sessionKept is how long a session is remembered after its connection.
	sessionKept = 10 * time.Minute

	// MostSessions is the limit of idle sessions.
	MostSessions = 10_000

	// siteBits is the length of the prefix of an IPv6 address that identifies a site.
	siteBits = 64
)

// Session has one client's numbers, over its connections.
type Session struct {
	token string
	shard int // of all its connections

	// Only its shard touches it.
	last uint64 // the highest number taken; 0: none yet

	// Guarded by Sessions.mu.
	owner  any
	claims int // under way
	idle   idle
}

// Last returns the highest number that was taken; 0: none yet.
func (x *Session) Last() uint64 { return x.last }

// follows reports whether message n is new. The error says that a message before it is
// missing.
func (x *Session) follows(n uint64) (fresh bool, err error) {
	if x.last > 0 && n > x.last+1 {
		return false, fmt.Errorf("message %d after %d: what lies between is missing", n, x.last)
	}
	return n > x.last, nil
}

// idle is a session's place among the idle ones.
type idle struct {
	since  time.Time
	all    *list.Element
	site   *site
	ofSite *list.Element
}

// site has the idle sessions of one address.
type site struct {
	of    netip.Addr
	idle  list.List // the longest first
	index int       // in Sessions.sites
}

// Sessions has all sessions that the hub remembers.
type Sessions struct {
	most  int // idle ones
	mu    sync.Mutex
	known map[string]*Session
	idle  list.List // the longest first
	sites sites
	from  map[netip.Addr]*site
}

// NewSessions makes Sessions with a limit of idle ones.
func NewSessions(most int) *Sessions {
	return &Sessions{most: most, known: map[string]*Session{}, from: map[netip.Addr]*site{}}
}

// Known returns how many sessions are remembered, idle or not.
func (s *Sessions) Known() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known)
}

// Claim finds the session with this token, or makes it on shard on. It is not forgotten
// before Take.
func (s *Sessions) Claim(token string, on int) (x *Session, shard int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	x = s.known[token]
	if x == nil {
		x = &Session{token: token, shard: on}
		s.known[token] = x
	}
	x.claims++
	s.wake(x)
	return x, x.shard
}

// Take gives a claimed session to by. If older is not nil, it had the session until now
// and must be closed.
func (s *Sessions) Take(x *Session, by any) (older any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	older, x.owner = x.owner, by
	x.claims--
	return older
}

// Leave ends the use of a session by by, at this address.
func (s *Sessions) Leave(x *Session, by any, addr sock.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.owner != by {
		return // another has it, or nobody may
	}
	x.owner = nil
	switch {
	case x.claims > 0: // another is about to have it
	case x.last == 0: // nothing was said, so there is nothing to remember
		delete(s.known, x.token)
	default:
		s.lay(x, siteOf(addr), time.Now())
		s.forget()
	}
}

// lay adds x to the idle sessions of an address. The caller holds mu.
func (s *Sessions) lay(x *Session, address netip.Addr, since time.Time) {
	from := s.from[address]
	if from == nil {
		from = &site{of: address}
		s.from[address] = from
		heap.Push(&s.sites, from)
	}
	x.idle = idle{since, s.idle.PushBack(x), from, from.idle.PushBack(x)}
	heap.Fix(&s.sites, from.index)
}

// wake removes x from the idle sessions, if it is there. The caller holds mu.
func (s *Sessions) wake(x *Session) {
	from := x.idle.site
	if from == nil {
		return
	}
	s.idle.Remove(x.idle.all)
	from.idle.Remove(x.idle.ofSite)
	x.idle = idle{}
	if from.idle.Len() > 0 {
		heap.Fix(&s.sites, from.index)
		return
	}
	heap.Remove(&s.sites, from.index)
	delete(s.from, from.of)
}

// forget drops sessions that are too old or too many. The caller holds mu.
func (s *Sessions) forget() {
	for e := s.idle.Front(); e != nil; e = s.idle.Front() {
		x := e.Value.(*Session)
		switch {
		case time.Since(x.idle.since) >= sessionKept:
		case s.idle.Len() > s.most:
			x = s.sites[0].idle.Front().Value.(*Session)
		default:
			return
		}
		s.wake(x)
		delete(s.known, x.token)
	}
}

// siteOf returns the site of an address.
func siteOf(a sock.Addr) netip.Addr {
	ip := a.AddrPort().Addr().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(siteBits) // fails for no IPv6 address
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
	s[i].index, s[j].index = i, j
}

func (s *sites) Push(x any) {
	from := x.(*site)
	from.index = len(*s)
	*s = append(*s, from)
}

func (s *sites) Pop() any {
	last := len(*s) - 1
	from := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return from
}
