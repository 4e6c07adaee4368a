//go:build unix

package backlog

// This file lets clients join an encoding's feed and leave it:
//
//	Begin  where a client that joins now begins
//	Join   a client starts to read an encoding
//	Leave  it stops
//	Sweep  drops the feeds of encodings that nobody has read for a while
//
// A client that asks for old messages has them encoded for all, as far as they fit
// into the backlog. Older ones are encoded for this client alone: it reads the
// canonical feed until Switch moves it to its own.

import (
	"time"

	"hubbub.example/internal/feed"
)

// backStep is about how many bytes of old messages are encoded at a time;
// publishers wait meanwhile.
const backStep = 256 << 10

// Position is where a client begins.
type Position struct {
	At       int64
	Backfill bool // At is in the canonical feed, before the beginning of its own
}

// Begin returns where in the canonical feed a client that joins now begins.
func (l *Log) Begin() int64 {
	switch first := l.config.First; first {
	case FirstUnheard:
		return l.place(Canonical, l.feed.WholeAt(l.heard.upTo()))
	case FirstNone:
		return l.place(Canonical, l.feed.Head())
	case FirstAll:
		return l.place(Canonical, l.feed.Whole())
	default:
		return l.place(Canonical, l.feed.Last(int(first)))
	}
}

// place returns where a client begins that asked for offset in an encoding's feed.
// While a publisher is blocked, a new client begins after the memory to be trimmed.
// Otherwise a series of new clients that take nothing would block it for ever.
func (l *Log) place(e Encoding, offset int64) int64 {
	if !l.config.Paced || !l.Blocked() {
		return offset
	}
	x := l.feeds[e].Load()
	return max(offset, x.feed.EndOf(x.target.Load()))
}

// Join adds a client to an encoding, after message seq or as soon after it as
// possible.
func (l *Log) Join(e Encoding, seq uint64) (Position, error) {
	x, err := l.open(e)
	if err != nil {
		return Position{}, err
	}
	for more := e != Canonical; more; {
		if more, err = l.reachBack(x, e, seq+1); err != nil {
			l.Leave(e)
			return Position{}, err
		}
	}
	if oldest := x.feed.Oldest(); seq+1 < oldest && l.feed.Oldest() < oldest {
		return Position{l.place(Canonical, l.feed.Begin(seq+1)), true}, nil
	}
	return Position{l.place(e, x.feed.Begin(seq+1)), false}, nil
}

// open returns an encoding's feed for one more client, and makes it if needed.
func (l *Log) open(e Encoding) (*encodedFeed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.feeds[e].Load()
	if x == nil {
		// Offsets are never reused, so no client mistakes one feed's for another's.
		begin := (l.top/feed.Far + 2) * feed.Far
		own, err := feed.New(l.config.Limit, begin, l.feed.Count())
		if err != nil {
			return nil, err
		}
		l.top = begin
		x = &encodedFeed{feed: own, floor: begin - feed.Far/2} // the feed also grows downwards
		l.feeds[e].Store(x)
	}
	x.readers.Add(1)
	return x, nil
}

// Leave removes a client from an encoding. It reports whether it was the last of an
// encoded feed, which must then be swept after it has been idle long enough.
func (l *Log) Leave(e Encoding) (last bool) {
	x := l.feeds[e].Load()
	if x.readers.Add(-1) > 0 || e == Canonical {
		return false
	}
	x.left.Store(time.Now().UnixNano())
	return true
}

// reachBack encodes one more step of old messages, and reports whether there are
// more from message seq on. It drops nothing: what does not fit into the backlog is
// encoded for one client at a time.
func (l *Log) reachBack(x *encodedFeed, e Encoding, seq uint64) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isStopped() { // the feeds may be about to close
		return false, nil
	}
	oldest := x.feed.Oldest()
	from := max(seq, l.feed.Oldest())
	if from >= oldest {
		return false, nil
	}
	step := l.feed.WholeAt(max(l.feed.Begin(oldest)-backStep, l.feed.Whole()))
	from = min(max(from, l.feed.Seq(step)+1), oldest-1)
	// No encoding is shorter than the canonical one.
	if !l.hasRoomFor(e, l.feed.Begin(oldest)-l.feed.Begin(from), int(oldest-from)) {
		return false, nil
	}
	var past batch
	l.feed.Each(from, oldest-1, func(m feed.Kept) {
		m.Bytes = m.Bytes[:len(m.Bytes)-l.config.Separator]
		past.add(l.encode[e], m)
	})
	if !l.hasRoomFor(e, int64(len(past.bytes)), len(past.ends)) {
		return false, nil
	}
	return x.feed.Prepend(past.bytes, past.ends)
}

// hasRoomFor reports whether this much more of one encoding fits into the backlog.
// The caller holds mu.
func (l *Log) hasRoomFor(e Encoding, bytes int64, messages int) bool {
	_, to := l.tooMuch(func(of Encoding) feed.Growth {
		if of == e {
			return feed.Growth{Bytes: bytes, Messages: messages}
		}
		return feed.Growth{}
	})
	return to == nil
}

// Switch moves a backfilled client that has received everything up to message seq
// to offset at of its own encoding's feed, if the feed goes back that far. With
// leap the client continues at the feed's beginning, even if it misses messages.
func (v *View) Switch(e Encoding, seq uint64, leap bool) (at int64, missed uint64, ok bool) {
	l := v.log
	l.mu.Lock() // so nothing goes now
	defer l.mu.Unlock()
	x := l.feeds[e].Load()
	if leap {
		at = x.feed.EndOf(max(x.target.Load(), x.feed.Whole()))
		return at, x.feed.Seq(at) - seq, true
	}
	at = x.feed.Begin(seq + 1)
	return at, 0, seq+1 >= x.feed.Oldest() && at >= x.target.Load()
}

// Sweep drops the feeds of encodings that no client has read for a while. It returns
// the time after which there may be more to drop; 0: none.
func (l *Log) Sweep() (next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := Canonical + 1; e < Encodings; e++ {
		x := l.feeds[e].Load()
		if x == nil || x.readers.Load() > 0 {
			continue
		}
		if kept := l.config.Idle - time.Since(time.Unix(0, x.left.Load())); kept > 0 {
			if next == 0 || kept < next {
				next = kept
			}
			continue
		}
		l.heard.reach(l.heard.canonical(e, l.heard.heardIn(e)))
		l.top = max(l.top, x.feed.Head())
		l.feeds[e].Store(nil)
		l.batches[e] = batch{}
		if err := x.feed.Close(); err != nil {
			l.config.Warn("%v", err)
		}
	}
	return next
}
