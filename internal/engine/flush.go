//go:build unix

package engine

// This file is how bytes reach clients; package delivery decides which:
//
//	flush  goes on with clients whose sockets have room again, then with all of
//	       the loop's clients, a slice a turn: others are read from in between
//	send   gives one client what comes next, at most one piece of its feed
//	sent   acts on what is known of a client after a piece was sent
//
// A client whose socket is full is passed over until its event says that there
// is room again. One that has all costs a comparison.

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
	next  int   // the client to go on with; 0: no walk is under way
	head  int64 // what the last walk that was begun brought everybody to
	again bool  // somebody could take more, or the list changed meanwhile
}

// flush sends a slice.
func (l *shard) flush() {
	l.takePrivate()
	until := l.stats.bytesOut + sliceBytes
	n := 0
	// The walk, which alone reaches those who had all, has its share.
	for n < slice*3/4 && n < len(l.writable.clients) && l.stats.bytesOut < until-sliceBytes/4 {
		if c := l.writable.at(n); c.phase.sends() && !c.link.Blocked() {
			l.send(c)
		}
		n++
	}
	l.writable.drop(n)
	l.walk(slice-n, until)
}

// walk goes on with the pass for at most n clients, one at least, or begins
// one if there is something to send.
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

// flushing says that there is more to send at once.
func (l *shard) flushing() bool {
	return len(l.writable.clients) > 0 || l.pass.next != 0 || l.pass.again || l.engine.backlog.Head() != l.pass.head
}

// send gives c what comes next. A client that is kicked and does not take that is
// ended, after what it did take.
func (l *shard) send(c *client) {
	for l.sendPiece(c) {
	}
	if c.link.Blocked() && c.kicked && c.phase.sends() {
		l.closeWith(c, c.end.Why)
	}
}

// sendPiece sends one piece, and reports whether another comes at once.
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

// sent acts on what is known of c, and reports whether c is sent more at once.
func (l *shard) sent(c *client, f delivery.Facts) (again bool) {
	if f.Delivered {
		l.credit(c)
	}
	if f == (delivery.Facts{Delivered: true}) {
		return false // as nearly always
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

// tellMissed counts and logs what c has missed. However long it was away, it is
// one hole that it sees.
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

// hasRoom is c whose socket has room again.
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

// sendClosing sends what it can of the last that c gets, and ends our direction
// after that.
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
