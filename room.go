//go:build unix

package hubbub

// This file makes room in the feed. Memory that a client still needs must not
// go, and memory that any loop may be reading must not go either; one
// agreement serves both:
//
//	ask      the publisher  the next segment to go is named, and loops are woken
//	vacate   a loop         deals with its clients below, as lag.go says; when
//	                        none is left, and none can come, it says so
//	freed    the last loop  drops the segment and wakes who waits for room
//
// It is asked one segment ahead of need, so that a source is held only when a
// client is a whole backlog behind.

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// room is the state of that agreement.
type room struct {
	mu      sync.Mutex    // the publisher's: one append or drop at a time
	changed chan struct{} // closed when there is more room; guarded by mu
	target  atomic.Int64  // the feed is to be left below this offset
	waiting atomic.Int32  // publishers that are held
}

// publish appends messages as package feed wants them, if there is room for
// them now, and wakes the loops. If there is none it returns the channel that
// closes when to try again.
func (h *Hub) publish(p []byte, ends []int) (<-chan struct{}, error) {
	r := &h.room
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-h.stopped:
		return nil, ErrClosed
	default:
	}
	if to := h.feed.Excess(int64(len(p)), len(ends)); to > 0 {
		h.ask(to)
		return r.changed, nil
	}
	return nil, h.append(p, ends)
}

// publishAnyway is publish that makes no room first.
func (h *Hub) publishAnyway(p []byte, ends []int) error {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	select {
	case <-h.stopped:
		return ErrClosed
	default:
		return h.append(p, ends)
	}
}

// append appends, asks for room one segment ahead, and wakes the loops. The
// caller holds room.mu.
func (h *Hub) append(p []byte, ends []int) error {
	if err := h.feed.Append(p, ends); err != nil {
		return err
	}
	if to := h.feed.Excess(h.feed.Segment(), 0); to > 0 {
		h.ask(to)
	}
	h.wakeAll()
	return nil
}

// ask names what is to go. The caller holds room.mu.
func (h *Hub) ask(to int64) {
	if to > h.room.target.Load() {
		h.room.target.Store(to)
		h.wakeAll()
	}
}

// hold and release count the publishers that are held: only while there is
// one, clients are judged.
func (h *Hub) hold() {
	h.room.waiting.Add(1)
	h.wakeAll()
}

func (h *Hub) release() { h.room.waiting.Add(-1) }

// vacate sees to it that no client of this loop needs what is to go.
func (l *loop) vacate() {
	l.watchLagging()
	to := l.hub.room.target.Load()
	if to <= l.clear.Load() {
		return
	}
	if c := l.holder; c != nil && c.streams() && c.cursor < to && !l.cutAtLunch(c) {
		l.watchHolders() // the one that held it last still does
		return
	}
	l.holder = nil
	var tails tails
	for _, c := range l.clients {
		if !c.streams() || c.cursor >= to {
			continue
		}
		switch l.hub.o.Slow {
		case Wait:
			if l.cutAtLunch(c) {
				continue
			}
			l.holder = c
			l.watchHolders()
			return
		case Cut:
			l.cut(c, fmt.Sprintf("lapped (%s behind)", size(l.lag(c))))
		case Skip:
			l.skip(c, to, &tails)
		}
	}
	l.publishHeard() // before what was heard is counted as dropped
	l.clear.Store(to)
	l.hub.freed()
}

// comesLate places a client that was to begin in what is about to go, or has
// gone meanwhile. With Wait it may hold what is still there. Else it begins
// behind: it is not slow, and what it misses nobody hears.
func (l *loop) comesLate(c *client) {
	h := l.hub
	h.room.mu.Lock() // so nothing goes now
	defer h.room.mu.Unlock()
	if h.o.Slow == Wait {
		c.cursor = max(c.cursor, h.feed.Whole())
		l.clear.Store(min(l.clear.Load(), c.cursor))
		return
	}
	to := h.room.target.Load()
	h.countUnheard(to)
	h.heard.reach(h.feed.EndOf(to))
	c.cursor = max(c.cursor, h.feed.EndOf(to))
}

// freed drops what every loop has left.
func (h *Hub) freed() {
	r := &h.room
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.target.Load()
	for _, l := range h.loops {
		if l.clear.Load() < to {
			return
		}
	}
	h.countUnheard(to)
	if err := h.feed.Drop(to); err != nil {
		h.warnf("%v", err)
	}
	close(r.changed)
	r.changed = make(chan struct{})
	h.loops[0].wakeUp() // its source may be held
}

// countUnheard counts and says what goes without ever having been heard.
func (h *Hub) countUnheard(to int64) {
	heard := max(h.heard.sentTo(h), h.feed.Whole())
	if heard >= to {
		return
	}
	// The message that to stands in goes too.
	n := int64(h.feed.Seq(h.feed.EndOf(to)) - h.feed.Seq(heard))
	if n == 0 {
		return
	}
	h.lost.Add(n)
	if h.lostSaid.now(time.Now()) {
		h.warnf("nobody heard the oldest messages and the backlog is full: %d dropped so far", h.lost.Load())
	}
}
