//go:build unix

package hubbub

import "hubbub.example/internal/engine/backlog"

// This file is a client that wants more of the past than its form's feed has:
// the backlog is full, so the feed cannot reach back any further. Such a client
// stands in the canonical feed, as a raw one does, with the same rights, and
// what it is sent from there is encoded for it alone, a piece at a time. When it
// has come as far as its form's feed begins, it goes on there.

// pastPiece is about how much is encoded for one client at a time.
const pastPiece = 16 << 10

// sendPast sends c the next piece of the past, up to end.
func (l *loop) sendPast(c *client, end int64) {
	if !l.moveOn(c, false) {
		c.more().rest = l.encodePast(c, end)
		if l.sendRest(c) {
			l.credit(c)
		}
	}
	l.pass.again = l.pass.again || !c.link.Blocked()
}

// encodePast moves c on by a piece, and gives it in c's encoding. Where all such
// pieces together are too much, it is none: c misses what lies before its own
// feed.
func (l *loop) encodePast(c *client, end int64) []byte {
	h, f := l.hub, l.feed(c)
	var piece []byte
	from := c.cursor
	for c.cursor < end && len(piece) < pastPiece {
		seq := f.Seq(c.cursor) + 1
		piece = l.view.AppendEncoded(piece, backlog.EncodingOf(c.Protocol()), seq)
		c.cursor = f.Begin(seq + 1)
	}
	if c.more().kept.TryGrow(h.rests, len(piece)) {
		return piece
	}
	c.cursor = from
	l.moveOn(c, true)
	return nil
}

// moveOn has c go on in its own encoding's feed, if that begins where c stands,
// and reports whether it does. With leap c goes on where it begins.
func (l *loop) moveOn(c *client, leap bool) bool {
	canonical := l.feed(c)
	at, missed, ok := l.view.Switch(backlog.EncodingOf(c.Protocol()), canonical.Seq(c.cursor), leap)
	if !ok {
		return false
	}
	if missed > 0 {
		c.more().missed += int64(missed)
		c.extra.skipped += int64(missed)
		l.stats.skipped += int64(missed)
	}
	c.past, c.cursor, c.theirs = false, at, 0
	if c.state == finishing {
		c.extra.goal = l.feed(c).Begin(canonical.Seq(c.extra.goal) + 1)
	}
	f := c.form()
	l.watchFrom[f] = min(l.watchFrom[f], at+l.view.Share()/farBehind)
	return true
}
