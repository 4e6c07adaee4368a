//go:build unix

package hubbub

// This file knows what somebody has heard, since by default a new client
// gets what nobody has. Heard is up to the last message fully sent to a
// client that listens. A port probe or a health check connects and goes; what
// was sent to it meanwhile its kernel acknowledges like any other, and a reset
// says that nobody read it. So what a newcomer was sent is heard only as long
// as it is there, until it has shown that it listens.

import (
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/sock"
)

// heard is what newcomers have heard. All that others have stands with their
// loops.
type heard struct {
	mu      sync.Mutex
	waiting map[*client]*newcomer
	past    int64 // of those that went in order while they were newcomers
}

// newcomer is a client's socket, and where its cursor stood after the last
// send. Its loop writes, anybody reads.
type newcomer struct {
	fd     int
	since  time.Time // the first send; its loop's alone
	sent   atomic.Int64
	cursor atomic.Int64
}

// visit is how long a probe may stay.
const visit = time.Second

// credit remembers how far c has heard the feed.
func (l *loop) credit(c *client) {
	if c.listens || l.showsToListen(c) {
		l.heardTo = max(l.heardTo, c.cursor)
	}
}

// showsToListen says that c took something, and spoke, or ended its side (to
// close with input unread is a reset), or stayed longer than a probe does.
func (l *loop) showsToListen(c *client) bool {
	x := c.more()
	if x.newcomer == nil {
		x.newcomer = &newcomer{fd: int(c.fd), since: l.now}
		l.hub.heard.wait(c)
	}
	n := x.newcomer
	n.cursor.Store(c.cursor)
	n.sent.Store(c.sent)
	if !c.spoke && !c.ended && l.now.Sub(n.since) < visit || c.acknowledged() <= 0 {
		return false
	}
	c.listens = true
	l.hub.heard.forget(c)
	x.newcomer = nil
	c.tidy()
	return true
}

// publishHeard shows the other loops how far this one's clients have heard.
func (l *loop) publishHeard() {
	if l.heardTo != l.heard.Load() {
		l.heard.Store(l.heardTo)
	}
}

func (h *heard) wait(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting == nil {
		h.waiting = map[*client]*newcomer{}
	}
	h.waiting[c] = c.extra.newcomer
}

// forget ends c's waiting; before its descriptor closes, at the latest.
func (h *heard) forget(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, c)
}

// settle is the last look at a client that goes without an error.
func (h *heard) settle(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, ok := h.waiting[c]; ok && n.took() {
		h.past = max(h.past, n.cursor.Load())
	}
	delete(h.waiting, c)
}

func (n *newcomer) took() bool {
	unacked, err := sock.Unacked(n.fd)
	return err == nil && int64(unacked) < n.sent.Load()
}

// reach takes everything below offset for heard: it is counted as lost.
func (h *heard) reach(offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.past = max(h.past, offset)
}

// upTo is the offset up to which somebody has heard the feed, inside a
// message at times. Of newcomers only those count that took something.
func (h *heard) upTo(hub *Hub) int64 { return h.most(hub, (*newcomer).took) }

// sentTo is the same, but it is enough that it was sent to somebody who is
// still there.
func (h *heard) sentTo(hub *Hub) int64 {
	return h.most(hub, func(*newcomer) bool { return true })
}

func (h *heard) most(hub *Hub, counts func(*newcomer) bool) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := h.past
	for _, l := range hub.loops {
		most = max(most, l.heard.Load())
	}
	if most == hub.feed.Head() {
		return most // nobody can have heard more
	}
	for _, n := range h.waiting {
		if at := n.cursor.Load(); at > most && counts(n) {
			most = at
		}
	}
	return most
}

// begin is where a client that comes now begins.
func (h *Hub) begin() int64 {
	switch r := h.o.Replay; r {
	case Unheard:
		return h.feed.WholeAt(h.heard.upTo(h))
	case ReplayNone:
		return h.feed.Head()
	case ReplayAll:
		return h.feed.Whole()
	default:
		return h.feed.Last(int(r))
	}
}
