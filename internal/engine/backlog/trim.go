//go:build unix

package backlog

// This file gives the oldest memory back. Memory that a client still needs must
// stay, and so must memory that any shard may be reading. One agreement serves
// both:
//
//	ask       a publisher    names the next segment to go, and wakes the shards
//	Mark.Left a shard        says that none of its clients stands there, or will
//	reclaim   the last shard drops the segment and lets blocked publishers go on
//
// The backlog asks one segment ahead of need, so a publisher waits only when a
// client is a whole backlog behind.

import (
	"sync/atomic"

	"hubbub.example/internal/feed"
)

// excess reports whether this much more in each encoding is too much, and asks
// for what must go for it. The caller holds mu.
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

// tooMuch is excess that only looks: which feeds must go, up to where; nil if all
// of it fits. The caller holds mu.
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

// Mark is one shard's part in trimming, and what its clients heard. Only its
// shard calls its methods.
type Mark struct {
	log     *Log
	clear   [Encodings]atomic.Int64 // no client of the shard stands, or will stand, below
	heard   [Encodings]atomic.Int64 // up to where its clients heard the feed, as others see it
	heardTo [Encodings]int64        // the same, as the shard itself knows it
}

// NewMark is the mark of one shard more. All are made before the first client
// comes.
func (l *Log) NewMark() *Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &Mark{log: l}
	l.marks = append(l.marks, m)
	return m
}

// Asked says that the shard's clients must leave what is to be trimmed.
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

// Left says that no client of the shard stands below the view's targets, or will
// stand there. The last shard to say so gives the memory back.
func (m *Mark) Left(v *View) {
	m.Show() // before what was heard is counted as lost
	for e := range v.targets {
		m.clear[e].Store(v.targets[e])
	}
	m.log.reclaim()
}

// Enter is where a client begins that was to begin at offset. If that is about
// to go, or has gone meanwhile, a paced hub lets it hold what is still there.
// Else it begins after that: it is not slow, and nobody hears what it misses.
func (m *Mark) Enter(e Encoding, offset int64) int64 {
	l := m.log
	if offset >= l.feeds[e].Load().target.Load() {
		return offset
	}
	l.mu.Lock() // so nothing goes now
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

// targets is where each feed must be left; 0: nowhere.
func (l *Log) targets() (to [Encodings]int64) {
	for e := range l.feeds {
		if x := l.feeds[e].Load(); x != nil {
			to[e] = x.target.Load()
		}
	}
	return to
}

// reclaim drops what every shard has left.
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
		l.config.Wake() // a shard may read the source that waits
	}
}

// countLost counts what goes up to offset without ever having been heard. The
// caller holds mu.
func (l *Log) countLost(to int64) {
	heard := max(l.heard.sentTo(), l.feed.Whole())
	if heard >= to {
		return
	}
	// The message that to stands in goes too.
	if n := int64(l.feed.Seq(l.feed.EndOf(to)) - l.feed.Seq(heard)); n > 0 {
		l.config.Lost(l.lost.Add(n))
	}
}
