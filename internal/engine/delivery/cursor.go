//go:build unix

// Package delivery decides what to send to one client next, and which clients are
// too slow. It is pure: it makes no system call, logs nothing and closes no client.
// The engine takes a piece, sends it, and reports how much was sent:
//
//	p := cursor.Next(view, policy)
//	n := link.Send(p)
//	facts := cursor.Sent(p, n)
//
// It sends whole messages, in this order:
//
//	tail      the rest of a message that the feed no longer keeps, or a piece that
//	          was encoded for this client alone     (skip.go, backfill.go)
//	control   notices, pongs, acknowledgements, heartbeats    (control.go)
//	private   messages to this client alone, each in its place among the
//	          broadcasts                            (private.go)
//	the feed  without what this client must not get (exclude.go)
//
// Policy judges slow clients by what they acknowledge (slow.go). A Cursor can be
// written to bytes and read back (state.go).
package delivery

import (
	"sync/atomic"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/feed"
)

const (
	// MaxPiece is the size of the largest piece: a client that is far behind must
	// not keep the others waiting.
	MaxPiece = 1 << 20

	// fileSpan is the size from which a piece is part of the feed's file:
	// sendfile(2) copies nothing, but costs more to set up than send(2).
	fileSpan = 16 << 10
)

// Cursor is the position of one client in its feed, and what else to send to it.
// Only its shard uses it, except for Exclude.
//
// Invariants: inside a message only the rest of that message is sent; messages are
// sent in order; each is sent once.
type Cursor struct {
	pos      int64 // the next byte of the feed that it reads
	more     *more // nil: there is nothing to send but the feed
	excluded atomic.Pointer[exclusion]
	first    uint32           // low bits of the message after which it began, plus the messages it missed
	reads    backlog.Encoding // the feed that pos is in: Canonical while it is backfilled
	own      backlog.Encoding // what the client is sent
}

// more is what few cursors need, and only for a while.
type more struct {
	tail    []byte
	kept    quota.Share // of the tail
	control *control
	private *private
	samples *samples // it lags far: slow.go
	missed  int64    // messages it has skipped since it last received one
	until   int64    // where its feed ends, if ends is set
	facts   Facts    // for the next Sent to return
	ends    bool
	closed  bool // only the tail is still sent
	fresh   bool // the tail is a piece of a backfill that was encoded just now
}

// Facts are what the engine must act on after it sent a piece.
type Facts struct {
	Resumed     int64 // it goes on after it missed this many messages
	Missed      int64 // messages it has missed just now
	PrivateLost int64 // private messages that were dropped before it took the rest
	Delivered   bool  // bytes of its feed were sent
	Again       bool  // there is more to send now
	Soon        bool  // control or private messages wait
	Switched    bool  // it has switched to the feed of its own encoding
	Finished    bool  // it has received everything
}

// Start puts the cursor at a position in the feed of an encoding.
func (c *Cursor) Start(e backlog.Encoding, p backlog.Position) {
	c.pos, c.own, c.reads = p.At, e, e
	if p.Backfill {
		c.reads = backlog.Canonical
	}
}

// Enter puts the cursor at offset of the feed that it reads, when its client joins. It
// returns the message after which that is.
func (c *Cursor) Enter(v *backlog.View, offset int64) (after uint64) {
	after = v.Feed(c.reads).Seq(offset)
	c.pos, c.first = offset, uint32(after)
	return after
}

// Offset returns where the cursor stands in the feed of Encoding.
func (c *Cursor) Offset() int64 { return c.pos }

// Encoding returns the encoding of the feed that the cursor reads.
func (c *Cursor) Encoding() backlog.Encoding { return c.reads }

// Own returns the encoding that the client is sent. Any goroutine may call it.
func (c *Cursor) Own() backlog.Encoding { return c.own }

// Behind reports whether there may be something to send.
func (c *Cursor) Behind(v *backlog.View) bool {
	return c.pos < v.Head(c.reads) || c.more != nil
}

// Lag returns how many bytes of the feed were not sent yet.
func (c *Cursor) Lag(v *backlog.View) int64 { return v.Head(c.reads) - c.pos }

// Owed returns how many bytes were not sent yet, the feed included.
func (c *Cursor) Owed(v *backlog.View) int64 {
	owed := c.Lag(v)
	if m := c.more; m != nil {
		owed += int64(len(m.tail) + m.private.bytes())
	}
	return owed
}

// Below reports whether the cursor is in what is to be trimmed.
func (c *Cursor) Below(v *backlog.View) bool { return c.pos < v.Target(c.reads) }

// Messages returns how many messages were sent.
func (c *Cursor) Messages(v *backlog.View) int64 {
	return int64(uint32(v.Feed(c.reads).Seq(c.pos)) - c.first)
}

// Next returns the next piece, which is empty if there is none. Sent must follow.
func (c *Cursor) Next(v *backlog.View, p *Policy) feed.Piece {
	if x := c.excluded.Load(); c.more == nil && c.reads == c.own && (x == nil || x.last.Load() == 0) {
		return c.span(v, v.Head(c.reads))
	}
	return c.next(v, p)
}

// Sent records that n bytes of p, which Next returned, were sent.
func (c *Cursor) Sent(p *feed.Piece, n int) Facts {
	if c.more != nil {
		return c.sent(p, n)
	}
	c.pos += int64(n)
	return Facts{Delivered: n > 0}
}

func (c *Cursor) next(v *backlog.View, p *Policy) feed.Piece {
	if m := c.more; m != nil && (m.tail != nil || m.closed) {
		return feed.Piece{Bytes: m.tail[:min(len(m.tail), MaxPiece)]}
	}
	f, end := v.Feed(c.reads), c.end(v)
	if x := c.excluded.Load(); x != nil {
		end = x.pass(c, f, end)
	}
	if m := c.more; m != nil {
		m.noteMissed(c, f)
		end = m.private.takeDue(c, f, end)
		if x := m.control; x != nil {
			if at := f.EndOf(c.pos); x.begun == nil && at > c.pos { // the rest of a message comes first
				return c.span(v, min(at, end))
			}
			x.pack(c.own)
			return feed.Piece{Bytes: x.begun[:min(len(x.begun), MaxPiece)]}
		}
	}
	if c.reads != c.own && c.pos < end {
		return c.backfill(v, p, end)
	}
	return c.span(v, end)
}

// end returns where sending the feed stops.
func (c *Cursor) end(v *backlog.View) int64 {
	end := v.Head(c.reads)
	if m := c.more; m != nil && m.ends {
		end = min(end, m.until)
	}
	return end
}

// span returns one piece of the feed, which ends at end at most.
func (c *Cursor) span(v *backlog.View, end int64) feed.Piece {
	n := min(end-c.pos, MaxPiece)
	if n <= 0 {
		return feed.Piece{}
	}
	f := v.Feed(c.reads)
	if n < fileSpan || f.File() < 0 {
		// A short span across the end of a segment is not contiguous.
		if b := f.Span(c.pos, c.pos+n); int64(len(b)) == n || f.File() < 0 {
			return feed.Piece{Bytes: b}
		}
	}
	return feed.Piece{File: f.File(), At: c.pos, N: int(n)}
}

func (c *Cursor) sent(p *feed.Piece, n int) Facts {
	m := c.more
	f := m.facts
	m.facts = Facts{}
	switch {
	case p.Len() == 0: // there was nothing to send
	case m.tail != nil:
		m.kept.Shrink(n)
		if m.tail = m.tail[n:]; len(m.tail) == 0 {
			m.tail = nil
			f.Delivered, f.Again = !m.closed, !m.fresh
		}
		m.fresh = false
	case m.control != nil && m.control.begun != nil:
		f.Again = m.control.sent(n)
		if m.control.empty() {
			m.control = nil
		}
	default:
		c.pos += int64(n)
		if f.Delivered = n > 0; f.Delivered {
			f.Resumed, m.missed = f.Resumed+m.missed, 0
		}
	}
	f.Soon = (m.control != nil || m.private != nil) && !f.Again
	f.Finished = m.tail == nil && (m.closed || m.ends && c.pos >= m.until && m.control == nil && m.private == nil)
	c.tidy()
	return f
}

// Closing reports whether part of the closing bytes was not sent yet.
func (c *Cursor) Closing() bool { return c.more != nil && c.more.closed && c.more.tail != nil }

// Control returns what waits to be sent between two messages, to add to it.
func (c *Cursor) Control() *Control {
	m := c.need()
	if m.control == nil {
		m.control = &control{}
	}
	return &m.control.Control
}

// Finish has the cursor end at the present end of the feed.
func (c *Cursor) Finish(v *backlog.View) {
	m := c.need()
	m.ends, m.until = true, v.Head(c.reads)
}

// FinishAfter has the cursor end after message seq, or now if it is further. It
// returns how many bytes come before that.
func (c *Cursor) FinishAfter(v *backlog.View, seq uint64) (waits int64) {
	m := c.need()
	m.ends, m.until = true, max(v.Feed(c.reads).Begin(seq+1), c.pos)
	return m.until - c.pos + int64(m.private.bytes())
}

// Close reduces what is sent to the rest of the current message and, where the
// encoding has it, the reason. Without final nothing is sent.
func (c *Cursor) Close(v *backlog.View, p *Policy, why ending.Reason, final bool) {
	m := c.need()
	var last []byte
	if final && (c.own == backlog.Frames || c.own == backlog.V1) {
		last = m.closing(c, v, why)
	}
	m.kept.Release()
	m.private.release()
	m.private, m.control, m.samples, m.tail, m.closed = nil, nil, nil, nil, true
	if len(last) > 0 && m.kept.TryGrow(p.Kept, len(last)) {
		m.tail = last
	}
}

// Release gives back all shares of quotas. It is the last call, and returns the facts
// that Sent has not returned yet.
func (c *Cursor) Release() (f Facts) {
	m := c.more
	if m == nil {
		return Facts{}
	}
	f = m.facts
	f.Resumed += m.missed
	m.kept.Release()
	m.private.release()
	c.more = nil
	return f
}

// Exclude has the cursor skip message last, which is not for client id. The publisher
// calls it before the message can be read.
func (c *Cursor) Exclude(id, last uint64) {
	x := c.excluded.Load()
	if x == nil {
		x = &exclusion{id: id}
		c.excluded.Store(x)
	}
	x.last.Store(last)
}

func (c *Cursor) need() *more {
	if c.more == nil {
		c.more = &more{}
	}
	return c.more
}

// tidy drops more if it is not needed any more.
func (c *Cursor) tidy() {
	m := c.more
	if m.tail == nil && m.control == nil && m.private == nil && m.samples == nil && m.missed == 0 && m.facts == (Facts{}) && !m.ends && !m.closed {
		c.more = nil
	}
}
