//go:build unix

package hubbub

// This file bounds what clients have begun to say and not ended: all of it
// together is at most the backlog. When it is more, the client that holds the
// most goes, whichever loop has it, and not the one that happened to add the
// byte that was too much:
//
//	overfull    a loop  finds that it is too much, and asks all loops
//	propose     a loop  names what its client holds that holds the most; the
//	                    last one has that loop end it whose is the most
//	cutHoarder  a loop  ends it
//
// Until then no messages are read, so it is too much by one read a loop.

import (
	"fmt"
	"sync"
)

// hoard is the search for who holds the most.
type hoard struct {
	mu    sync.Mutex
	asked int // loops that have yet to answer, and then one to act; 0: nobody seeks
	most  int
	of    *loop
}

// holds is how many bytes of a message x has.
func (x *extra) holds() int {
	n := len(x.partial)
	if x.saying != nil {
		n += x.saying.Held()
	}
	return n
}

// forget drops what c had of a message.
func (l *loop) forget(c *client) {
	if x := c.extra; x != nil && (x.partial != nil || x.saying != nil) {
		l.hub.partial.Add(-int64(x.holds()))
		x.partial, x.saying = nil, nil
		c.tidy()
	}
}

// overfull says that the beginnings of messages are too much, and sees to it
// that they will not be.
func (l *loop) overfull() bool {
	h := l.hub
	if h.partial.Load() <= h.o.Backlog {
		return false
	}
	q := &h.hoard
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.asked == 0 {
		q.asked, q.most, q.of = len(h.loops)+1, 0, nil
		for _, l := range h.loops {
			l.do(l.propose)
		}
	}
	return true
}

// propose answers for this loop.
func (l *loop) propose() {
	_, n := l.hoarder()
	q := &l.hub.hoard
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.of == nil || n > q.most {
		q.most, q.of = n, l
	}
	if q.asked--; q.asked == 1 {
		q.of.do(q.of.cutHoarder)
	}
}

// cutHoarder ends the client of this loop that holds the most, if that must be.
func (l *loop) cutHoarder() {
	h := l.hub
	if c, n := l.hoarder(); c != nil && h.partial.Load() > h.o.Backlog {
		l.cut(c, fmt.Sprintf("beginnings of messages fill the backlog, and its own is the longest (%s)", size(int64(n))))
	}
	h.hoard.mu.Lock()
	h.hoard.asked = 0
	h.hoard.mu.Unlock()
	h.wakeAll() // to read on, or to ask again
}

// hoarder is the client that holds the most; nil if none holds anything.
func (l *loop) hoarder() (hoarder *client, most int) {
	for _, c := range l.clients {
		if c.reads() && c.extra != nil && c.extra.holds() > most {
			hoarder, most = c, c.extra.holds()
		}
	}
	return hoarder, most
}
