//go:build unix

package backlog

// This file tracks how much of the canonical feed has been heard: sent in full to
// a client that listens. By default a new client begins with the first unheard
// message. A port probe or a health check connects and leaves; its kernel
// acknowledges data that no program read. So a new client is on probation: what it
// was sent counts only while it stays, until it has proven that it listens.

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// probation is the longest that a probe stays.
const probation = time.Second

// Seat records whether what a client was sent counts as heard. The zero value is a
// client that was sent nothing. Only its shard uses it.
type Seat struct {
	// Its index among the clients on probation, from 1, or proven. Another client
	// that leaves the list may change it, under heard.mu.
	index atomic.Int32
}

// proven is a client that has shown that it listens.
const proven = -1

// Proven reports whether the client has shown that it listens.
func (s *Seat) Proven() bool { return s.index.Load() == proven }

// Delivery is what a client has been sent.
type Delivery struct {
	Encoding Encoding
	At       int64 // up to where in that encoding's feed
	Sent     int64 // bytes ever
	FD       int
	Spoke    bool   // it sent something, or shut down its side: closing with unread input is a reset
	Millis   uint32 // the shard's time
}

// Delivered records what a client of the shard was sent.
func (m *Mark) Delivered(s *Seat, d *Delivery) {
	if m.log.heard.proves(s, d) {
		m.Heard(d.Encoding, d.At)
	}
}

// Heard is Delivered for a proven client, as nearly all are.
func (m *Mark) Heard(e Encoding, at int64) { m.heardTo[e] = max(m.heardTo[e], at) }

// Show publishes how far the shard's clients have received.
func (m *Mark) Show() {
	for e := range m.heardTo {
		if m.heardTo[e] != m.heard[e].Load() {
			m.heard[e].Store(m.heardTo[e])
		}
	}
}

// proves reports whether a client took something, and spoke or stayed longer than a
// probe.
func (h *heard) proves(s *Seat, d *Delivery) bool {
	// A client that need not wait is not noted, to keep the list short.
	took := d.Spoke && h.took(d)
	if !took {
		stayed := time.Duration(d.Millis-h.note(s, d)) * time.Millisecond
		if !d.Spoke && stayed < probation || !h.took(d) {
			return false
		}
	}
	h.forget(s)
	s.index.Store(proven)
	return true
}

// took reports whether the peer has acknowledged something. If the kernel cannot
// tell, sent bytes count.
func (h *heard) took(d *Delivery) bool {
	unacked, err := h.log.config.Unacked(d.FD)
	return err != nil && d.Sent > 0 || err == nil && int64(unacked) < d.Sent
}

// Settle counts what a client received that leaves without an error.
func (m *Mark) Settle(s *Seat) {
	h := &m.log.heard
	h.mu.Lock()
	defer h.mu.Unlock()
	at := s.index.Load()
	if at <= 0 {
		return
	}
	if n := h.at(at); h.tookSince(n) {
		h.past = max(h.past, h.canonical(n.encoding, n.at))
	}
	h.leave(s)
}

// Forget removes a client that heard nothing, or is no longer on probation. Call it
// before the descriptor closes.
func (m *Mark) Forget(s *Seat) { m.log.heard.forget(s) }

// heard is what clients on probation have heard. All that others have stands in
// the marks.
type heard struct {
	log    *Log
	mu     sync.Mutex
	chunks [][]onProbation
	n      int
	past   int64 // of those that went in order while they were on probation
}

// chunkSize is how many clients on probation stand together: a hub may have thousands at a
// time, and the list must not leave old ones of itself behind.
const chunkSize = 512

// onProbation is a client on probation as it was after the last send. Its seat is
// its place in the list, from 1: there is no pointer from the client.
type onProbation struct {
	seat     *Seat
	at       int64
	sent     uint32 // at least; no kernel holds as much as fits in here
	since    uint32 // when it was first sent something, in its shard's milliseconds
	fd       int32
	encoding Encoding // in whose feed at is
}

func (h *heard) at(index int32) *onProbation {
	return &h.chunks[(index-1)/chunkSize][(index-1)%chunkSize]
}

// note records a client's current state, and returns since when it is noted.
func (h *heard) note(s *Seat, d *Delivery) (since uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since = d.Millis
	if at := s.index.Load(); at > 0 {
		since = h.at(at).since
	} else {
		if h.n == len(h.chunks)*chunkSize {
			h.chunks = append(h.chunks, make([]onProbation, chunkSize))
		}
		h.n++
		s.index.Store(int32(h.n))
	}
	*h.at(s.index.Load()) = onProbation{s, d.At, uint32(min(d.Sent, math.MaxUint32)), since, int32(d.FD), d.Encoding}
	return since
}

func (h *heard) forget(s *Seat) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(s)
}

// leave moves the last entry to s's index. The caller holds mu.
func (h *heard) leave(s *Seat) {
	at := s.index.Load()
	if at <= 0 {
		return
	}
	last := h.at(int32(h.n))
	last.seat.index.Store(at)
	*h.at(at), *last = *last, onProbation{}
	s.index.Store(0)
	if h.n--; h.n == 0 {
		h.chunks = nil
	}
}

// reach counts everything below offset as heard.
func (h *heard) reach(offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.past = max(h.past, offset)
}

// upTo returns the offset up to which the canonical feed has been heard; it may be inside
// a message. A client on probation counts only if it took something.
func (h *heard) upTo() int64 { return h.most(h.tookSince) }

// sentTo is like upTo, but counts everything sent to a client that is still
// connected.
func (h *heard) sentTo() int64 {
	return h.most(func(*onProbation) bool { return true })
}

func (h *heard) most(counts func(*onProbation) bool) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	most := h.past
	for e := range Encodings {
		most = max(most, h.canonical(e, h.heardIn(e)))
	}
	if most == h.log.feed.Head() {
		return most // no client can have heard more
	}
	for i := range int32(h.n) {
		n := h.at(i + 1)
		if at := h.canonical(n.encoding, n.at); at > most && counts(n) {
			most = at
		}
	}
	return most
}

func (h *heard) tookSince(n *onProbation) bool {
	unacked, err := h.log.config.Unacked(int(n.fd))
	return err == nil && int64(unacked) < int64(n.sent)
}

// heardIn returns the offset in an encoding's feed up to which clients heard it that
// are on probation no more.
func (h *heard) heardIn(e Encoding) int64 {
	most := int64(0)
	for _, m := range h.log.marks {
		most = max(most, m.heard[e].Load())
	}
	return most
}

// canonical returns where in the canonical feed a client stands that stands at offset
// of an encoding's; 0 where that is the offset of a feed that is gone.
func (h *heard) canonical(e Encoding, offset int64) int64 {
	l := h.log
	if e == Canonical {
		return offset
	}
	x := l.feeds[e].Load()
	if x == nil || offset <= x.floor {
		return 0
	}
	seq := x.feed.Seq(offset)
	if l.feeds[e].Load() != x { // it goes at this moment: Sweep has seen to it
		return 0
	}
	return l.feed.Begin(seq + 1)
}
