//go:build unix

// Package delivery is what one client is sent next, and who is too slow. It is
// pure: it makes no system call, logs nothing and ends nobody. The engine takes a
// piece, sends it, and tells how much of it went out:
//
//	p := cursor.Next(view, policy)
//	n := link.Send(p)
//	facts := cursor.Sent(p, n)
//
// What a client is sent comes in this order, and always whole:
//
//	tail      the rest of a message that the feed no longer keeps; also what is
//	          encoded for this client alone        (skip.go, backfill.go)
//	control   notices, pongs, acknowledgements, heartbeats: between two
//	          messages, before whatever the client is behind with (control.go)
//	private   messages to this client alone, each in its place among those that
//	          are broadcast                        (private.go)
//	the feed  but for what others may get only     (exclude.go)
//
// Policy judges who holds up a publisher, from what clients acknowledge: slow.go.
// A Cursor can be written to bytes and read back: state.go.
package delivery

import (
	"sync/atomic"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/feed"
)

const (
	// MaxPiece is the most bytes of one piece: one client that is far behind
	// must not keep the others waiting.
	MaxPiece = 1 << 20

	// fileSpan is from where on a piece is a part of the feed's file: sendfile(2)
	// copies nothing, but has more to set up than send(2).
	fileSpan = 16 << 10
)

// Cursor is where one client stands in its feed, and what it must be sent besides.
// Only its shard touches it, but for Exclude.
//
// Invariants: nothing but a message's own rest is sent inside a message; messages
// are sent in their order; each is sent once.
type Cursor struct {
	pos      int64 // the next byte of the feed that it reads
	more     *more // nil: it needs the feed and nothing else
	excluded atomic.Pointer[exclusion]
	first    uint32           // the message after which it began, its low bits; later also counts those it missed
	reads    backlog.Encoding // whose feed pos is in: Canonical while it is backfilled
	own      backlog.Encoding // what its client is sent
}

// more is what few cursors need, and those not for long.
type more struct {
	tail    []byte
	kept    quota.Share // of the tail
	control *control
	private *private
	samples *samples // it lags far: slow.go
	missed  int64    // messages it skipped, while it has not gone on since
	until   int64    // where its feed ends, if ends is set
	facts   Facts    // to be told by the next Sent
	ends    bool
	closed  bool // it is sent the tail, and nothing else
	fresh   bool // the tail is a piece of its backfill that was encoded just now
}

// Facts are what the engine must know and act on after a piece was sent.
type Facts struct {
	Resumed     int64 // it has gone on, after having missed this many messages
	Missed      int64 // messages it has missed just now
	PrivateLost int64 // private messages that were dropped, now that it has taken the rest
	Delivered   bool  // bytes of its feed were sent
	Again       bool  // there is more to send at once
	Soon        bool  // something for it alone waits
	Switched    bool  // it has changed over to its own encoding's feed
	Finished    bool  // it has all that it was to get
}

// Start has the cursor stand at a position of an encoding's feed.
func (c *Cursor) Start(e backlog.Encoding, p backlog.Position) {
	c.pos, c.own, c.reads = p.At, e, e
	if p.Backfill {
		c.reads = backlog.Canonical
	}
}

// Enter returns the moment its client is taken in, at offset of the feed it reads. It
// returns the message after which that is.
func (c *Cursor) Enter(v *backlog.View, offset int64) (after uint64) {
	after = v.Feed(c.reads).Seq(offset)
	c.pos, c.first = offset, uint32(after)
	return after
}

// Offset returns where the cursor stands in the feed of Encoding.
func (c *Cursor) Offset() int64 { return c.pos }

// Encoding is whose feed the cursor reads.
func (c *Cursor) Encoding() backlog.Encoding { return c.reads }

// Own returns the encoding that its client is sent. Any goroutine may ask.
func (c *Cursor) Own() backlog.Encoding { return c.own }

// Behind reports whether there may be something to send.
func (c *Cursor) Behind(v *backlog.View) bool {
	return c.pos < v.Head(c.reads) || c.more != nil
}

// Lag returns how many bytes of its feed it has not been sent.
func (c *Cursor) Lag(v *backlog.View) int64 { return v.Head(c.reads) - c.pos }

// Owed returns how many bytes it has yet to be sent in all.
func (c *Cursor) Owed(v *backlog.View) int64 {
	owed := c.Lag(v)
	if m := c.more; m != nil {
		owed += int64(len(m.tail) + m.private.bytes())
	}
	return owed
}

// Below reports whether it stands in what is about to be trimmed.
func (c *Cursor) Below(v *backlog.View) bool { return c.pos < v.Target(c.reads) }

// Messages returns how many messages its client was sent.
func (c *Cursor) Messages(v *backlog.View) int64 {
	return int64(uint32(v.Feed(c.reads).Seq(c.pos)) - c.first)
}

// Next returns what to send next; nothing if it has all. Sent must follow.
func (c *Cursor) Next(v *backlog.View, p *Policy) feed.Piece {
	if x := c.excluded.Load(); c.more == nil && c.reads == c.own && (x == nil || x.last.Load() == 0) {
		return c.span(v, v.Head(c.reads))
	}
	return c.next(v, p)
}

// Sent enters that n bytes of piece p were sent, which Next has given.
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
			if at := f.EndOf(c.pos); x.begun == nil && at > c.pos { // the rest of that comes first
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

// end returns up to where the feed is sent.
func (c *Cursor) end(v *backlog.View) int64 {
	end := v.Head(c.reads)
	if m := c.more; m != nil && m.ends {
		end = min(end, m.until)
	}
	return end
}

// span returns one piece of the feed, at most up to end.
func (c *Cursor) span(v *backlog.View, end int64) feed.Piece {
	n := min(end-c.pos, MaxPiece)
	if n <= 0 {
		return feed.Piece{}
	}
	f := v.Feed(c.reads)
	if n < fileSpan || f.File() < 0 {
		// Across a segment's end a short span is not in one piece.
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

// Closing reports whether something of the last that its client gets is still to be
// sent.
func (c *Cursor) Closing() bool { return c.more != nil && c.more.closed && c.more.tail != nil }

// Control returns what waits to be sent; whatever is added to it will be.
func (c *Cursor) Control() *Control {
	m := c.need()
	if m.control == nil {
		m.control = &control{}
	}
	return &m.control.Control
}

// Finish has the cursor end where the feed ends now.
func (c *Cursor) Finish(v *backlog.View) {
	m := c.need()
	m.ends, m.until = true, v.Head(c.reads)
}

// FinishAfter has the cursor end after message seq, or at once if it is further,
// and says how many bytes come before that.
func (c *Cursor) FinishAfter(v *backlog.View, seq uint64) (waits int64) {
	m := c.need()
	m.ends, m.until = true, max(v.Feed(c.reads).Begin(seq+1), c.pos)
	return m.until - c.pos + int64(m.private.bytes())
}

// Close is the end of what its client is sent: the rest of what it stands in
// and, where its encoding can, why it ends. Without final it is sent nothing.
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

// Release gives back what all its output takes of the quotas. It is the last call
// but for Facts of what was not told yet.
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

// Exclude tells the cursor, before message last can be seen, that client id must
// not get it. The publisher calls it.
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

// tidy lets go of what is not needed any more.
func (c *Cursor) tidy() {
	m := c.more
	if m.tail == nil && m.control == nil && m.private == nil && m.samples == nil && m.missed == 0 && m.facts == (Facts{}) && !m.ends && !m.closed {
		c.more = nil
	}
}
