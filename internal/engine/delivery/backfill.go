//go:build unix

package delivery

// This file backfills a client that wants older messages than the feed of its
// encoding has, which cannot grow further back because the backlog is full. The
// client reads the canonical feed, as a raw client does, and each piece is encoded
// for it alone. Where its own feed begins, it switches over to that.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// backfillPiece is about how many bytes are encoded at a time.
const backfillPiece = 16 << 10

// backfill returns the next piece for a client that is backfilled. If all such pieces
// exceed the quota, the client misses what lies before its own feed.
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

// switchOver switches the cursor to its own feed, if that begins at or below the
// cursor, or with leap in any case. It reports whether it did.
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
