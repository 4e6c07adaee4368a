//go:build unix

package hubbub

// This file bounds what is held for clients, or of them: the messages they have
// begun and not ended, and those that wait for one alone. All of a kind together
// is at most the backlog. When it is more, the client goes for which the most is
// held, whichever loop has it, and not the one that happened to add the byte that
// was too much:
//
//	overfull  a loop  finds that it is too much, and asks all loops
//	propose   a loop  names what its client holds that holds the most; the last
//	                  one has that loop see to it whose is the most
//	unload    a loop  sees to it
//
// Until then no messages are read, so it is too much by one read a loop.

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// hoard is how many bytes of one kind are held in all, and the search for whom
// the most of them.
type hoard struct {
	atomic.Int64

	of     func(c *client) int      // how many for c, if something can be done about it
	lessen func(l *loop, c *client) // does it

	mu    sync.Mutex
	asked int // loops that have yet to answer, and then one to act; 0: nobody seeks
	most  int
	at    *loop
}

// makeHoards says what is held, and what is done about too much of it.
func (h *Hub) makeHoards() {
	h.partial.of = func(c *client) int {
		if !c.reads() || c.extra == nil {
			return 0
		}
		return c.extra.holds()
	}
	h.partial.lessen = func(l *loop, c *client) {
		l.cut(c, fmt.Sprintf("beginnings of messages fill the backlog, and its own is the longest (%s)", size(int64(c.extra.holds()))))
	}
	h.letters.of = func(c *client) int {
		if !c.hasLetters() {
			return 0
		}
		return int(c.extra.letters.bytes)
	}
	h.letters.lessen = func(l *loop, c *client) {
		if c.state == broken { // it gets none of them
			l.forgetLetters(c)
			return
		}
		l.tooManyLetters(c, "for it, and all that does fills the backlog", c.extra.letters.bytes/2, 0)
	}
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

// overfull says that q is too much, and sees to it that it will not be.
func (l *loop) overfull(q *hoard) bool {
	h := l.hub
	if q.Load() <= h.o.Backlog {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.asked == 0 {
		q.asked, q.most, q.at = len(h.loops)+1, 0, nil
		for _, l := range h.loops {
			l.do(func() { l.propose(q) })
		}
	}
	return true
}

// propose answers for this loop.
func (l *loop) propose(q *hoard) {
	_, n := l.hoarder(q)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at == nil || n > q.most {
		q.most, q.at = n, l
	}
	if q.asked--; q.asked == 1 {
		at := q.at
		at.do(func() { at.unload(q) })
	}
}

// unload deals with the client of this loop for which the most is held, if that
// must be.
func (l *loop) unload(q *hoard) {
	c, _ := l.hoarder(q)
	if c != nil && q.Load() > l.hub.o.Backlog {
		q.lessen(l, c)
	}
	q.mu.Lock()
	q.asked = 0
	q.mu.Unlock()
	if c != nil {
		l.overfull(q) // once may not be enough
	}
	l.hub.wakeAll() // to read on, or to ask again
}

// hoarder is the client for which the most is held; nil if nothing is.
func (l *loop) hoarder(q *hoard) (hoarder *client, most int) {
	for _, c := range l.clients {
		if n := q.of(c); n > most {
			hoarder, most = c, n
		}
	}
	return hoarder, most
}
