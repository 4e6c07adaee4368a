//go:build unix

package engine

// This file sends to clients; package delivery decides what:
//
//	flush  sends to clients whose sockets are writable again, then to all of the
//	       loop's clients, a slice per turn, so that reading goes on in between
//	send   sends one client its next piece of the feed
//	sent   acts on the client's state after a piece was sent
//
// A client whose socket is full is skipped until the poller reports it writable.
// A client that has everything costs one comparison.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/quantity"
)

const (
	// A turn sends to at most slice clients, and about sliceBytes: a
	// millisecond's work.
	slice      = 128
	sliceBytes = 4 << 20
)

// pass is one walk through a loop's clients.
type pass struct {
	next  int   // the client to go on with; 0: no walk is in progress
	head  int64 // the head that the last started walk sends up to
	again bool  // some client could take more, or the list changed meanwhile
}

// sending has a shard's progress in sending.
type sending struct {
	owner
	pass      pass
	view      backlog.View // the feeds, as of this turn
	writable  queue        // clients whose sockets have room again
	spareMail []private    // swapped with mail.private
}

// flush sends one slice.
func (s *sending) flush() {
	s.takePrivate()
	until := s.shard.stats.bytesOut + sliceBytes
	n := 0
	// Some of the slice is left to walk, which alone reaches clients that had everything.
	for n < slice*3/4 && n < len(s.writable.clients) && s.shard.stats.bytesOut < until-sliceBytes/4 {
		if c := s.writable.at(n); c.phase.sends() && !c.link.Blocked() {
			s.send(c)
		}
		n++
	}
	s.writable.drop(n)
	s.walk(slice-n, until)
}

// walk continues the pass for at most n clients, at least one. It starts a pass if
// there is something to send.
func (s *sending) walk(n int, until int64) {
	p := &s.pass
	head := s.view.Head(backlog.Canonical)
	if p.next == 0 {
		if head == p.head && !p.again {
			return
		}
		p.head, p.again = head, false
	}
	for ; n > 0 && p.next < len(s.shard.clients) && s.shard.stats.bytesOut < until; p.next++ {
		c := s.shard.clients[p.next]
		if c.link.Blocked() || !c.phase.sends() || !c.out.Behind(&s.view) {
			continue
		}
		s.send(c)
		n--
	}
	if p.next >= len(s.shard.clients) {
		p.next = 0
	}
}

// walkAgain starts another walk after this one: some client could take more.
func (s *sending) walkAgain() { s.pass.again = true }

// walkOver notes that a client left the list: the walk may have skipped the one
// that took its place.
func (s *sending) walkOver() {
	if s.pass.next > 0 {
		s.walkAgain()
	}
}

// flushing reports whether there is more to send now.
func (s *sending) flushing() bool {
	return len(s.writable.clients) > 0 || s.pass.next != 0 || s.pass.again || s.engine.backlog.Head() != s.pass.head
}

// send sends c what comes next. It closes a kicked client that does not take all
// of it.
func (s *sending) send(c *client) {
	for s.sendPiece(c) {
	}
	if c.link.Blocked() && c.kicked && c.phase.sends() {
		s.shard.closeWith(c, c.end.Why)
	}
}

// sendPiece sends one piece and reports whether to send another at once.
func (s *sending) sendPiece(c *client) (again bool) {
	p, n := c.out.Next(&s.view, &s.engine.policy), 0
	if p.Len() > 0 {
		var err error
		if n, err = c.link.Send(&p, s.shard.Millis()); err != nil {
			s.shard.writeFailed(c, err)
			return false
		}
	}
	if n > 0 {
		s.shard.stats.bytesOut += int64(n)
		s.shard.stats.sends++
		if c.link.Unsettle() {
			s.shard.scheduleLiveness()
		}
	}
	f := c.out.Sent(&p, n)
	if n > 0 && c.out.Behind(&s.view) && !c.link.Blocked() {
		s.walkAgain()
	}
	return s.sent(c, f)
}

// sent acts on the state of c, and reports whether to send c more at once.
func (s *sending) sent(c *client, f delivery.Facts) (again bool) {
	if f.Delivered {
		s.credit(c)
	}
	if f == (delivery.Facts{Delivered: true}) {
		return false // the usual case
	}
	s.tellMissed(c, f)
	switch {
	case c.link.Blocked():
		f.Again = false
	case f.Soon:
		s.writable.add(c)
	}
	if f.Finished && !s.shard.receivesRest(c) {
		s.shard.closeWrite(c)
	}
	return f.Again && c.phase.sends()
}

// tellMissed counts and logs what c has missed.
func (s *sending) tellMissed(c *client, f delivery.Facts) {
	s.shard.stats.skipped += f.Missed
	if f.Resumed > 0 {
		s.engine.log.Warnf("client %d skipped %s", c.ID(), quantity.Count(f.Resumed, "message"))
	}
	if f.PrivateLost > 0 {
		s.engine.log.Warnf("client %d has lost %s that it alone was sent", c.ID(), quantity.Count(f.PrivateLost, "message"))
	}
	if f.Switched {
		s.shard.watchFor(c)
	}
}

// credit records how far c has received its feed.
func (s *sending) credit(c *client) {
	if c.seat.Proven() {
		s.shard.mark.Heard(c.out.Encoding(), c.out.Offset())
		return
	}
	s.shard.mark.Delivered(&c.seat, &backlog.Delivery{
		Encoding: c.out.Encoding(), At: c.out.Offset(), Sent: c.link.Sent(), FD: c.link.FD(), Spoke: c.spoke || c.link.EOF(), Millis: s.shard.Millis(),
	})
}

// hasRoom handles the event that c's socket is writable again.
func (s *sending) hasRoom(c *client) {
	switch {
	case c.phase.sends():
		if s.shard.lag(c) > link.Unsent { // it is behind, but takes something
			c.link.WidenUnsent()
		}
		s.writable.add(c)
	case c.phase == lingering && c.out.Closing():
		if err := s.sendClosing(c); err != nil {
			s.shard.closeLater(c)
		}
	}
}

// sendClosing sends what the socket takes of c's close frame. After all of it, it
// shuts down our direction.
func (s *sending) sendClosing(c *client) error {
	for c.out.Closing() {
		p := c.out.Next(&s.view, &s.engine.policy)
		n, err := c.link.Send(&p, s.shard.Millis())
		if err != nil {
			return err
		}
		c.end.Sent(s.shard.Now())
		if f := c.out.Sent(&p, n); !f.Finished && n < p.Len() {
			return nil
		}
	}
	return c.link.CloseWrite()
}
