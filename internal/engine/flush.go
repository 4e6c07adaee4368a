//go:build unix

package engine

// This file sends to clients; package delivery decides what:
//
//	flush  sends to clients whose sockets are writable again, then to all of the
//	       loop's clients, a slice per turn, so that reading goes on in between
//	send   sends one client its next piece of the feed
//	sent   acts on the client's state after a piece was sent
//
// A client whose socket is full is skipped until its event says that it is writable
// again. A client that has everything costs one comparison.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/quantity"
)

const (
	// slice is how many clients are sent to, and sliceBytes how much, before
	// the loop looks for events again: about a millisecond's work.
	slice      = 128
	sliceBytes = 4 << 20
)

// pass is one walk through a loop's clients.
type pass struct {
	next  int   // the client to go on with; 0: no walk is in progress
	head  int64 // the head that the last started walk sends up to
	again bool  // some client could take more, or the list changed meanwhile
}

// flush sends a slice.
func (l *shard) flush() {
	l.takePrivate()
	until := l.stats.bytesOut + sliceBytes
	n := 0
	// The walk gets its share: only it reaches clients that had everything.
	for n < slice*3/4 && n < len(l.writable.clients) && l.stats.bytesOut < until-sliceBytes/4 {
		if c := l.writable.at(n); c.phase.sends() && !c.link.Blocked() {
			l.send(c)
		}
		n++
	}
	l.writable.drop(n)
	l.walk(slice-n, until)
}

// walk continues the pass for at most n clients, at least one. It starts a pass if
// there is something to send.
func (l *shard) walk(n int, until int64) {
	p := &l.pass
	head := l.view.Head(backlog.Canonical)
	if p.next == 0 {
		if head == p.head && !p.again {
			return
		}
		p.head, p.again = head, false
	}
	for ; n > 0 && p.next < len(l.clients) && l.stats.bytesOut < until; p.next++ {
		c := l.clients[p.next]
		if c.link.Blocked() || !c.phase.sends() || !c.out.Behind(&l.view) {
			continue
		}
		l.send(c)
		n--
	}
	if p.next >= len(l.clients) {
		p.next = 0
	}
}

// flushing reports whether there is more to send at once.
func (l *shard) flushing() bool {
	return len(l.writable.clients) > 0 || l.pass.next != 0 || l.pass.again || l.engine.backlog.Head() != l.pass.head
}

// send sends c what comes next. It closes a kicked client that does not take all
// of it.
func (l *shard) send(c *client) {
	for l.sendPiece(c) {
	}
	if c.link.Blocked() && c.kicked && c.phase.sends() {
		l.closeWith(c, c.end.Why)
	}
}

// sendPiece sends one piece, and reports whether another follows at once.
func (l *shard) sendPiece(c *client) (again bool) {
	p, n := c.out.Next(&l.view, &l.engine.policy), 0
	if p.Len() > 0 {
		var err error
		if n, err = c.link.Send(&p, l.Millis()); err != nil {
			l.writeFailed(c, err)
			return false
		}
	}
	if n > 0 {
		l.stats.bytesOut += int64(n)
		l.stats.sends++
		if c.link.Unsettle() {
			l.scheduleLiveness()
		}
	}
	f := c.out.Sent(&p, n)
	if n > 0 && c.out.Behind(&l.view) && !c.link.Blocked() {
		l.pass.again = true
	}
	return l.sent(c, f)
}

// sent acts on the state of c, and reports whether to send c more at once.
func (l *shard) sent(c *client, f delivery.Facts) (again bool) {
	if f.Delivered {
		l.credit(c)
	}
	if f == (delivery.Facts{Delivered: true}) {
		return false // the usual case
	}
	l.tellMissed(c, f)
	switch {
	case c.link.Blocked():
		f.Again = false
	case f.Soon:
		l.writable.add(c)
	}
	if f.Finished && !l.receivesRest(c) {
		l.closeWrite(c)
	}
	return f.Again && c.phase.sends()
}

// tellMissed counts and logs what c has missed. c sees one gap, however long it
// was away.
func (l *shard) tellMissed(c *client, f delivery.Facts) {
	l.stats.skipped += f.Missed
	if f.Resumed > 0 {
		l.engine.log.Warnf("client %d skipped %s", c.ID(), quantity.Count(f.Resumed, "message"))
	}
	if f.PrivateLost > 0 {
		l.engine.log.Warnf("client %d has lost %s that it alone was sent", c.ID(), quantity.Count(f.PrivateLost, "message"))
	}
	if f.Switched {
		l.watchFor(c)
	}
}

// credit remembers up to where c has heard its feed.
func (l *shard) credit(c *client) {
	if c.seat.Proven() {
		l.mark.Heard(c.out.Encoding(), c.out.Offset())
		return
	}
	l.mark.Delivered(&c.seat, &backlog.Delivery{
		Encoding: c.out.Encoding(), At: c.out.Offset(), Sent: c.link.Sent(), FD: c.link.FD(), Spoke: c.spoke || c.link.EOF(), Millis: l.Millis(),
	})
}

// hasRoom handles the event that c's socket is writable again.
func (l *shard) hasRoom(c *client) {
	switch {
	case c.phase.sends():
		if l.lag(c) > link.Unsent { // it is behind, but has just taken something
			c.link.WidenUnsent()
		}
		l.writable.add(c)
	case c.phase == lingering && c.out.Closing():
		if err := l.sendClosing(c); err != nil {
			l.closeLater(c)
		}
	}
}

// sendClosing sends as much as it can of c's close frame, then shuts down our
// direction.
func (l *shard) sendClosing(c *client) error {
	for c.out.Closing() {
		p := c.out.Next(&l.view, &l.engine.policy)
		n, err := c.link.Send(&p, l.Millis())
		if err != nil {
			return err
		}
		c.end.Sent(l.Now())
		if f := c.out.Sent(&p, n); !f.Finished && n < p.Len() {
			return nil
		}
	}
	return c.link.CloseWrite()
}
