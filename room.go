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

	"hubbub.example/internal/feed"
)

// room is the state of that agreement; where each form's feed is to be left
// stands with its wire.
type room struct {
	mu      sync.Mutex   // the publisher's: one append or drop at a time
	waiting atomic.Int32 // publishers that are held

	// Guarded by mu.
	changed chan struct{} // closed when there is more room
	encoded [forms]encoded
	top     int64 // the highest offset of the feeds made for forms so far, nearly
}

// publish appends messages as package feed wants them, if there is room for
// them now, and wakes the loops. If there is none it returns the channel that
// closes when to try again.
func (h *Hub) publish(p []byte, ends []int, of ...feed.Run) (<-chan struct{}, error) {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	return h.publishNow(p, ends, of)
}

// publishHere is publish of what counts as heard, unless something before it
// does not.
func (h *Hub) publishHere(p []byte, ends []int, of ...feed.Run) (<-chan struct{}, error) {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	heard := h.heard.upTo(h) == h.feed.Head()
	room, err := h.publishNow(p, ends, of)
	if heard {
		h.heard.reach(h.feed.Head())
	}
	return room, err
}

// publishNow is publish. The caller holds room.mu.
func (h *Hub) publishNow(p []byte, ends []int, of []feed.Run) (<-chan struct{}, error) {
	select {
	case <-h.stopped:
		return nil, ErrClosed
	default:
	}
	at := time.Now()
	all := h.encode(p, ends, at, of)
	if h.excess(func(f form) feed.Growth { return all[f].growth() }) {
		return h.room.changed, nil
	}
	return nil, h.append(all, at)
}

// publishAnyway is publish that makes no room first.
func (h *Hub) publishAnyway(p []byte, ends []int) error {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	select {
	case <-h.stopped:
		return ErrClosed
	default:
		at := time.Now()
		return h.append(h.encode(p, ends, at, nil), at)
	}
}

// append appends to every form's feed, asks for room one segment ahead, and
// wakes the loops. The canonical feed comes last: who sees its new head finds
// the others there. The caller holds room.mu.
func (h *Hub) append(all *[forms]encoded, at time.Time) error {
	for f := range h.wires {
		if w := h.wires[f].Load(); w != nil {
			if err := w.feed.Reserve(len(all[f].bytes)); err != nil {
				return err // and nothing is appended anywhere
			}
		}
	}
	h.bar(all[asTheyCame].of)
	for f := forms - 1; f > asTheyCame; f-- {
		if w := h.wires[f].Load(); w != nil {
			_ = w.feed.Append(all[f].bytes, all[f].ends, 0, all[f].of...) // reserved
		}
	}
	if err := h.feed.Append(all[asTheyCame].bytes, all[asTheyCame].ends, at.UnixMilli(), all[asTheyCame].of...); err != nil {
		return err
	}
	h.excess(func(form) feed.Growth { return feed.Growth{Bytes: h.feed.Segment()} })
	h.wakeAll()
	return nil
}

// excess says whether so much more in each form is too much, and names what is
// to go for it. The caller holds room.mu.
func (h *Hub) excess(more func(f form) feed.Growth) bool {
	which, to := h.tooMuch(more)
	for i := range to {
		which[i].ask(to[i])
	}
	if to != nil {
		h.wakeAll()
	}
	return to != nil
}

// tooMuch is excess that only looks: up to where which feeds are to go, nil if
// all of it fits. The caller holds room.mu.
func (h *Hub) tooMuch(more func(f form) feed.Growth) (which [forms]*wire, to []int64) {
	var growths [forms]feed.Growth
	n := 0
	for f := range forms {
		if w := h.wires[f].Load(); w != nil {
			which[n], growths[n] = w, more(f)
			growths[n].Feed = w.feed
			n++
		}
	}
	return which, feed.Excess(h.o.Backlog, growths[:n])
}

// ask names what is to go. The caller holds room.mu.
func (w *wire) ask(to int64) {
	if to > w.target.Load() {
		w.target.Store(to)
	}
}

// hold and release count the publishers that are held: only while there is
// one, clients are judged.
func (h *Hub) hold() {
	h.room.waiting.Add(1)
	h.wakeAll()
}

func (h *Hub) release() { h.room.waiting.Add(-1) }

// targets is where each form's feed is to be left; 0: nowhere.
func (h *Hub) targets() (to [forms]int64) {
	for f := range h.wires {
		if w := h.wires[f].Load(); w != nil {
			to[f] = w.target.Load()
		}
	}
	return to
}

// vacate sees to it that no client of this loop needs what is to go.
func (l *loop) vacate() {
	l.watchLagging()
	to := l.hub.targets()
	if l.hasLeft(&to) {
		return
	}
	if c := l.holder; c != nil && l.stands(c, &to) && !l.cutAtLunch(c) {
		l.watchHolders() // the one that held it last still does
		return
	}
	l.holder = nil
	var tails tails
	for _, c := range l.clients {
		if !l.stands(c, &to) {
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
			l.skip(c, to[c.form()], &tails)
		}
	}
	if l.holdStrangers(to[asTheyCame]) {
		return
	}
	l.publishHeard() // before what was heard is counted as dropped
	for f := range to {
		l.clear[f].Store(to[f])
	}
	l.hub.freed()
}

// hasLeft says that nobody of this loop stands where feeds are to be left.
func (l *loop) hasLeft(to *[forms]int64) bool {
	for f := range to {
		if to[f] > l.clear[f].Load() {
			return false
		}
	}
	return true
}

// stands says that c stands in what is to go.
func (l *loop) stands(c *client, to *[forms]int64) bool {
	return c.streams() && c.cursor < to[c.form()]
}

// place is where a client begins in form f's feed that is to begin at offset.
// One that comes while a source is held does not hold it as well: it begins
// behind what is to go. Else a stream of them, none of which takes anything,
// would hold the source for ever, each for its own Patience.
func (h *Hub) place(f form, offset int64) int64 {
	if h.o.Slow != Wait || h.room.waiting.Load() == 0 {
		return offset
	}
	w := h.wires[f].Load()
	return max(offset, w.feed.EndOf(w.target.Load()))
}

// comesLate places a client that was to begin in what is about to go, or has
// gone meanwhile. With Wait it may hold what is still there. Else it begins
// behind: it is not slow, and what it misses nobody hears.
func (l *loop) comesLate(c *client) {
	h := l.hub
	h.room.mu.Lock() // so nothing goes now
	defer h.room.mu.Unlock()
	w, f := l.wire(c), c.form()
	if h.o.Slow == Wait {
		c.cursor = max(c.cursor, w.feed.Whole())
		l.clear[f].Store(min(l.clear[f].Load(), c.cursor))
		return
	}
	to := w.target.Load()
	if f == asTheyCame {
		h.countUnheard(to)
		h.heard.reach(h.feed.EndOf(to))
	}
	c.cursor = max(c.cursor, w.feed.EndOf(to))
}

// freed drops what every loop has left.
func (h *Hub) freed() {
	r := &h.room
	r.mu.Lock()
	defer r.mu.Unlock()
	to := h.targets()
	for _, l := range h.loops {
		if !l.hasLeft(&to) {
			return
		}
	}
	h.countUnheard(to[asTheyCame])
	for f := range to {
		if w := h.wires[f].Load(); w != nil {
			if err := w.feed.Drop(to[f]); err != nil {
				h.warnf("%v", err)
			}
		}
	}
	close(r.changed)
	r.changed = make(chan struct{})
	h.loops[0].Wake() // its source may be held
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
