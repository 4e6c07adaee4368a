//go:build unix

package hubbub

// This file knows what somebody has heard, since by default a new client
// gets what nobody has. Heard is up to the last message fully sent to a
// client that listens. A port probe or a health check connects and goes; what
// was sent to it meanwhile its kernel acknowledges like any other, and a reset
// says that nobody read it. So what a newcomer was sent is heard only as long
// as it is there, until it has shown that it listens.

import (
	"slices"
	"sync"
	"time"

	"hubbub.example/internal/sock"
)

// heard is what newcomers have heard. All that others have stands with their
// loops.
type heard struct {
	mu      sync.Mutex
	waiting []newcomer
	past    int64 // of those that went in order while they were newcomers
}

// newcomer is a client as it was after the last send. A hub may have thousands
// at a time, so there is no pointer from the client: its seat is its place in
// the list, from 1.
type newcomer struct {
	client *client
	sent   int64
	cursor int64
	form   form // in whose feed the cursor is
}

// visit is how long a probe may stay.
const visit = time.Second

// credit remembers how far c has heard the feed.
func (l *loop) credit(c *client) {
	if c.listens || l.showsToListen(c) {
		at := &l.heardTo[c.form()]
		*at = max(*at, c.cursor)
	}
}

// showsToListen says that c took something, and spoke, or ended its side (to
// close with input unread is a reset), or stayed longer than a probe does.
func (l *loop) showsToListen(c *client) bool {
	// Who need not wait is no newcomer: the list would be made for each of them.
	if known := c.spoke || c.link.EOF(); !known || c.link.Acknowledged() <= 0 {
		if l.hub.heard.enter(c, int(l.hub.clients.Load())) {
			c.served = l.Millis()
		}
		stayed := time.Duration(l.Millis()-c.served) * time.Millisecond
		if !known && stayed < visit || c.link.Acknowledged() <= 0 {
			return false
		}
	}
	c.listens = true
	l.hub.heard.forget(c)
	return true
}

// publishHeard shows the other loops how far this one's clients have heard.
func (l *loop) publishHeard() {
	for f := range l.heardTo {
		if l.heardTo[f] != l.heard[f].Load() {
			l.heard[f].Store(l.heardTo[f])
		}
	}
}

// enter notes c as it is now, and says whether it is new. All others may soon
// be noted too: the list must not leave old ones of itself behind.
func (h *heard) enter(c *client, all int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := c.seat == 0
	if fresh {
		if len(h.waiting) == cap(h.waiting) {
			h.waiting = slices.Grow(h.waiting, all)
		}
		h.waiting = append(h.waiting, newcomer{client: c})
		c.seat = int32(len(h.waiting))
	}
	n := &h.waiting[c.seat-1]
	n.sent, n.cursor, n.form = c.link.Sent(), c.cursor, c.form()
	return fresh
}

// forget ends c's waiting; before its descriptor closes, at the latest.
func (h *heard) forget(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(c)
}

// settle is the last look at a client that goes without an error.
func (h *heard) settle(hub *Hub, c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.seat == 0 {
		return
	}
	if n := &h.waiting[c.seat-1]; n.took() {
		h.past = max(h.past, hub.canonical(n.form, n.cursor))
	}
	h.leave(c)
}

// leave has the last one take c's seat.
func (h *heard) leave(c *client) {
	if c.seat == 0 {
		return
	}
	last := len(h.waiting) - 1
	h.waiting[c.seat-1] = h.waiting[last]
	h.waiting[last].client.seat = c.seat
	h.waiting[last] = newcomer{}
	h.waiting = h.waiting[:last]
	c.seat = 0
	if last == 0 {
		h.waiting = nil
	}
}

func (n *newcomer) took() bool {
	unacked, err := sock.Unacked(n.client.link.FD())
	return err == nil && int64(unacked) < n.sent
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
	for f := range forms {
		most = max(most, hub.canonical(f, hub.heardIn(f)))
	}
	if most == hub.feed.Head() {
		return most // nobody can have heard more
	}
	for i := range h.waiting {
		n := &h.waiting[i]
		if at := hub.canonical(n.form, n.cursor); at > most && counts(n) {
			most = at
		}
	}
	return most
}

// heardIn is the offset in form f's feed up to which clients heard it that are
// newcomers no more.
func (h *Hub) heardIn(f form) int64 {
	most := int64(0)
	for _, l := range h.loops {
		most = max(most, l.heard[f].Load())
	}
	return most
}

// canonical is where in the canonical feed a client stands that stands at
// offset in form f's; 0 where that is another feed's offset, of one that is
// gone.
func (h *Hub) canonical(f form, offset int64) int64 {
	if f == asTheyCame {
		return offset
	}
	w := h.wires[f].Load()
	if w == nil || offset <= w.floor {
		return 0
	}
	seq := w.feed.Seq(offset)
	if h.wires[f].Load() != w { // it goes at this moment: keep has seen to it
		return 0
	}
	return h.feed.Begin(seq + 1)
}

// keep remembers what was heard in form f's feed, which is about to go.
func (h *heard) keep(hub *Hub, f form) { h.reach(hub.canonical(f, hub.heardIn(f))) }

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
