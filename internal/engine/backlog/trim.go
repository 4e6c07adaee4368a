//go:build unix

package backlog

// This file frees the oldest memory. Memory that a client still needs must stay,
// and so must memory that a shard may be reading. One protocol ensures both:
//
//	ask       a publisher    sets the next segment to free, and wakes the shards
//	Mark.Left a shard        reports that none of its clients is there, or will be
//	reclaim   the last shard drops the segment and wakes blocked publishers
//
// The backlog asks one segment ahead of need, so a publisher waits only when a
// client is a whole backlog behind.

import (
	"sync/atomic"

	"hubbub.example/internal/feed"
)

// excess reports whether this much more in each encoding does not fit, and asks for
// the memory. The caller holds mu.
func (l *Log) excess(more func(e Encoding) feed.Growth) bool {
	which, to := l.tooMuch(more)
	for i := range to {
		if x := which[i]; to[i] > x.target.Load() {
			x.target.Store(to[i])
		}
	}
	if to != nil {
		l.config.Wake()
	}
	return to != nil
}

// tooMuch is excess without asking: up to where each feed must be dropped; nil if
// everything fits. The caller holds mu.
func (l *Log) tooMuch(more func(e Encoding) feed.Growth) (which [Encodings]*encodedFeed, to []int64) {
	var growths [Encodings]feed.Growth
	n := 0
	for e := range Encodings {
		if x := l.feeds[e].Load(); x != nil {
			which[n], growths[n] = x, more(e)
			growths[n].Feed = x.feed
			n++
		}
	}
	return which, feed.Excess(l.config.Limit, growths[:n])
}

// Mark is one shard's part in trimming, and what its clients received. Only its
// shard calls its methods.
type Mark struct {
	log     *Log
	clear   [Encodings]atomic.Int64 // no client of the shard is, or will be, below
	heard   [Encodings]atomic.Int64 // up to where its clients received the feed, published
	heardTo [Encodings]int64        // the same, private to the shard
}

// NewMark makes the mark of one more shard. All are made before the first client
// joins.
func (l *Log) NewMark() *Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &Mark{log: l}
	l.marks = append(l.marks, m)
	return m
}

// Asked reports whether the shard's clients must leave memory to be trimmed.
func (m *Mark) Asked() bool {
	to := m.log.targets()
	return !m.hasLeft(&to)
}

func (m *Mark) hasLeft(to *[Encodings]int64) bool {
	for e := range to {
		if to[e] > m.clear[e].Load() {
			return false
		}
	}
	return true
}

// Left reports that no client of the shard is, or will be, below the view's
// targets. The last shard to call it frees the memory.
func (m *Mark) Left(v *View) {
	m.Show() // before received messages are counted as lost
	for e := range v.targets {
		m.clear[e].Store(v.targets[e])
	}
	m.log.reclaim()
}

// Enter returns where a client begins that was to begin at offset. If that is about
// to go, or has gone meanwhile, a paced hub lets it hold what is still there.
// Else it begins after that: it is not slow, and nobody hears what it misses.
func (m *Mark) Enter(e Encoding, offset int64) int64 {
	l := m.log
	if offset >= l.feeds[e].Load().target.Load() {
		return offset
	}
	l.mu.Lock() // nothing is dropped meanwhile
	defer l.mu.Unlock()
	x := l.feeds[e].Load()
	if l.config.Paced {
		offset = max(offset, x.feed.Whole())
		m.clear[e].Store(min(m.clear[e].Load(), offset))
		return offset
	}
	to := x.target.Load()
	if e == Canonical {
		l.countLost(to)
		l.heard.reach(l.feed.EndOf(to))
	}
	return max(offset, x.feed.EndOf(to))
}

// targets returns the offset below which clients must leave each feed; 0: none.
func (l *Log) targets() (to [Encodings]int64) {
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			to[e] = x.target.Load()
		}
	}
	return to
}

// reclaim drops the memory that every shard has left.
func (l *Log) reclaim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.targets()
	for _, m := range l.marks {
		if !m.hasLeft(&to) {
			return
		}
	}
	l.countLost(to[Canonical])
	for e := range to {
		if x := l.feeds[e].Load(); x != nil {
			if err := x.feed.Drop(to[e]); err != nil {
				l.config.Warn("%v", err)
			}
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	if l.Blocked() {
		l.config.Wake() // a shard may be waiting to read its source
	}
}

// countLost counts the messages up to offset that are dropped and that no client
// received. The caller holds mu.
func (l *Log) countLost(to int64) {
	heard := max(l.heard.sentTo(), l.feed.Whole())
	if heard >= to {
		return
	}
	// The message that contains to is dropped too.
	if n := int64(l.feed.Seq(l.feed.EndOf(to)) - l.feed.Seq(heard)); n > 0 {
		l.config.Lost(l.lost.Add(n))
	}
}
