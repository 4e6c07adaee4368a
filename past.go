//go:build unix

package hubbub

// This file is a client that wants more of the past than its form's feed has:
// the backlog is full, so the feed cannot reach back any further. Such a client
// stands in the canonical feed, as a raw one does, with the same rights, and
// what it is sent from there is encoded for it alone, a piece at a time. When it
// has come as far as its form's feed begins, it goes on there.

import "hubbub.example/internal/feed"

// pastPiece is about how much is encoded for one client at a time.
const pastPiece = 16 << 10

// form is how c's messages look where it stands.
func (c *client) form() form {
	if c.past {
		return asTheyCame
	}
	return formOf(c.protocol)
}

// sendPast sends c the next piece of the past, up to end.
func (l *loop) sendPast(c *client, end int64) {
	if !l.catchUp(c) {
		c.more().rest = l.encodePast(c, end)
		if l.sendRest(c) {
			l.credit(c)
		}
	}
	l.pass.again = l.pass.again || !c.link.Blocked()
}

// encodePast moves c on by a piece, and gives it in c's form. Where all such
// pieces together are too much, it is none: c misses what lies before its form's
// feed.
func (l *loop) encodePast(c *client, end int64) []byte {
	h := l.hub
	var piece encoded
	encode, from := h.encoders[formOf(c.protocol)], c.cursor
	for c.cursor < end && len(piece.bytes) < pastPiece {
		seq := h.feed.Seq(c.cursor) + 1
		h.encodeKept(encode, &piece, seq, seq)
		c.cursor = h.feed.Begin(seq + 1)
	}
	if c.more().kept.TryGrow(h.rests, len(piece.bytes)) {
		return piece.bytes
	}
	c.cursor = from
	l.leap(c)
	return nil
}

// catchUp has c go on in its form's feed, if that begins where c stands, and
// reports whether it does.
func (l *loop) catchUp(c *client) bool {
	h := l.hub
	h.room.mu.Lock() // so nothing goes now
	defer h.room.mu.Unlock()
	w := h.wires[formOf(c.protocol)].Load()
	seq := h.feed.Seq(c.cursor)
	at := w.feed.Begin(seq + 1)
	if seq+1 < w.feed.Oldest() || at < w.target.Load() {
		return false
	}
	l.moveTo(c, w, at)
	return true
}

// leap has c go on where its form's feed begins.
func (l *loop) leap(c *client) {
	h := l.hub
	h.room.mu.Lock() // so nothing goes now
	defer h.room.mu.Unlock()
	w := h.wires[formOf(c.protocol)].Load()
	at := max(w.feed.Whole(), w.feed.EndOf(max(w.target.Load(), w.feed.Whole())))
	missed := int64(w.feed.Seq(at) - h.feed.Seq(c.cursor))
	c.more().missed += missed
	c.extra.skipped += missed
	l.stats.skipped += missed
	l.moveTo(c, w, at)
}

// moveTo has c stand in its form's feed. The caller holds room.mu.
func (l *loop) moveTo(c *client, w *wire, at int64) {
	c.past, c.cursor, c.theirs = false, at, 0
	if c.state == finishing {
		c.extra.goal = w.feed.Begin(l.hub.feed.Seq(c.extra.goal) + 1)
	}
	f := c.form()
	l.watchFrom[f] = min(l.watchFrom[f], at+l.hub.share()/farBehind)
}

// encodeKept adds messages from number from up to number to, which the
// canonical feed has.
func (h *Hub) encodeKept(encode encoder, piece *encoded, from, to uint64) {
	separator := len(h.framing.Separator())
	h.feed.Each(from, to, func(m feed.Kept) {
		m.Bytes = m.Bytes[:len(m.Bytes)-separator]
		piece.add(encode, m)
	})
}
