//go:build unix

package delivery

// This file is a client that wants more of the past than its encoding's feed has:
// the backlog is full, so the feed cannot reach back any further. Such a client
// reads the canonical feed, as a raw one does, with the same rights, and what it
// is sent from there is encoded for it alone, a piece at a time. When it has come
// as far as its own feed begins, it goes on there.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// backfillPiece is about how much is encoded for one client at a time.
const backfillPiece = 16 << 10

// backfill returns the next piece for a client that is backfilled. Where all such
// pieces together are too much, the client misses what lies before its own feed.
func (c *Cursor) backfill(v *backlog.View, p *Policy, end int64) feed.Piece {
	if c.switchOver(v, false) {
		return c.next(v, p)
	}
	f, pos := v.Feed(c.reads), c.pos
	var piece []byte
	for pos < end && len(piece) < backfillPiece {
		seq := f.Seq(pos) + 1
		piece = v.AppendEncoded(piece, c.own, seq)
		pos = f.Begin(seq + 1)
	}
	m := c.need()
	if !m.kept.TryGrow(p.Kept, len(piece)) {
		c.switchOver(v, true)
		return c.next(v, p)
	}
	c.pos, m.tail, m.fresh = pos, piece, true
	return feed.Piece{Bytes: piece[:min(len(piece), MaxPiece)]}
}

// switchOver has the cursor go on in its own feed, if that begins where it stands,
// and reports whether it does. With leap it goes on where its feed begins.
func (c *Cursor) switchOver(v *backlog.View, leap bool) bool {
	canonical := v.Feed(c.reads)
	at, missed, ok := v.Switch(c.own, canonical.Seq(c.pos), leap)
	if !ok {
		return false
	}
	m := c.need()
	c.pos, c.reads = at, c.own
	m.miss(c, int64(missed))
	m.facts.Switched = true
	if x := c.excluded.Load(); x != nil {
		x.clear = 0
	}
	if m.ends {
		m.until = v.Feed(c.own).Begin(canonical.Seq(m.until) + 1)
	}
	return true
}
