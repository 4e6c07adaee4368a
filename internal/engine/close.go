//go:build unix

package engine

// This file is every way in which a client ends:
//
//	finish        it gets what was broadcast so far: it half-closed after it
//	              had sent something, or the hub drains
//	cut           it gets no more, and the log says why
//	closeWith     it gets no more, but nothing is wrong: it is kicked
//	writeFailed   it takes no more; what it sent before is still read
//	disconnected  the connection broke
//
// An orderly end is closeWrite: shutdown(SHUT_WR), then read and discard until
// the end of file, or no progress for a while (ending.Linger), and only then
// close. To close with unread input resets the connection, and what is on its
// way to the peer is lost: a client was seen to get 110 of 3,819 KB.
// Descriptors close at the end of a turn, so that no event of the turn can name
// one that is another client's by then.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/logger"
)

// ends are the clients that end.
type ends struct {
	owner
	lingering []*client
	closing   []*client // at the end of this turn

	nextLinger *loop.Timer
}

// finish lets c have what its feed holds now, then ends it for reason.
func (e *ends) finish(c *client, reason ending.Reason) {
	var v backlog.View
	e.engine.backlog.View(&v)
	c.out.Finish(&v)
	e.flushes(c, reason)
}

// flushes has c end, for reason, where its feed ends now.
func (e *ends) flushes(c *client, reason ending.Reason) {
	c.phase = flushing
	c.ends().Why = reason
	// The next pass sends what is left, or finds that nothing is.
	e.shard.walkAgain()
}

// closeWrite ends our direction: c has all it is to get.
func (e *ends) closeWrite(c *client) {
	var v backlog.View
	e.engine.backlog.View(&v)
	c.out.Close(&v, &e.engine.policy, c.end.Why, c.ID() != 0 && !c.link.EOF())
	c.phase = lingering
	e.shard.leavesUnread(c)
	c.Forget() // an incomplete message is discarded
	e.leave(&c.Sender, c.end.Why)
	if err := e.shard.sendClosing(c); err != nil || c.link.EOF() {
		e.closeLater(c)
		return
	}
	unacked, _ := c.link.Unacked()
	c.end.Begin(e.shard.Now(), unacked)
	e.lingering = append(e.lingering, c)
	e.checkLingerSoon()
	e.shard.readSoon(c) // close with unread input sends a reset
}

// cut closes c now, for a reason that is worth a line in the log.
func (e *ends) cut(c *client, reason ending.Reason) {
	if c.phase == halfBroken { // it cannot be sent a close frame
		e.disconnected(c, c.end.Why)
		return
	}
	if !c.phase.sends() {
		return
	}
	unread := 0
	if n, err := c.link.Unread(); err == nil && e.engine.inbox.Messages {
		unread = n
	}
	e.engine.log.Group(reason.Grouped(), unread, "client %d (%s) closed: %s%s", c.ID(), c.Addr(), reason.Text, logger.Unread(int64(unread), "it"))
	e.closeWith(c, reason)
}

// closeWith ends c now: it gets no more, but is told why.
func (e *ends) closeWith(c *client, reason ending.Reason) {
	c.ends().Cut(reason)
	e.closeWrite(c)
}

// writeFailed is c whose connection takes no more. What it sent before that may still
// wait to be read, as it does while the inbox is full, and is lost with the
// descriptor: many who only report never read what they are told, so that
// they leave with a reset.
func (e *ends) writeFailed(c *client, err error) {
	if n, failed := c.link.Unread(); failed != nil || n == 0 && c.Holds() == 0 {
		e.disconnected(c, ending.Lost(err))
		return
	}
	c.phase = halfBroken
	c.ends().Why = ending.Lost(err)
	e.shard.readSoon(c)
}

// disconnected ends c when the connection is no more.
func (e *ends) disconnected(c *client, reason ending.Reason) {
	e.leave(&c.Sender, reason)
	e.shard.mark.Forget(&c.seat) // a client reset before it takes a byte received nothing
	e.closeLater(c)
}

// checkHangUp ends c when neither side can send any more, and all that c sent
// is received. Its end of file alone would not do: it may watch.
func (e *ends) checkHangUp(c *client) {
	if !c.link.HungUp() || !c.link.EOF() || c.phase >= closed {
		return
	}
	// A reset after the end of file shows here only; read(2) says the end again.
	if err := c.link.PendingError(); err != nil {
		e.disconnected(c, ending.Lost(err))
		return
	}
	e.leave(&c.Sender, ending.Done())
	e.closeLater(c)
}

// leave says once that a client is gone.
func (e *ends) leave(s *intake.Sender, reason ending.Reason) {
	if !s.Present() {
		return
	}
	e.engine.registry.leave(s.ID())
	e.shard.in.Presence(intake.Leave, s, reason)
	e.engine.log.Debugf("client %d (%s) left: %s", s.ID(), s.Addr(), reason.Text)
}

// closedByPeer is c that ends its WebSocket: it gets its own code back.
func (e *ends) closedByPeer(c *client, reason ending.Reason) {
	if c.phase == halfBroken {
		e.disconnected(c, c.end.Why)
		return
	}
	c.ends().Why = reason
	e.closeWrite(c)
}

// leaveSession detaches c's session, if it has one, for another connection.
func (e *ends) leaveSession(c *client) {
	if x := c.Session(); x != nil {
		e.engine.sessions.Leave(x, c, c.Addr())
	}
}

// discard reads what a client still sends after the end of our direction.
func (e *ends) discard(c *client) {
	if c.end.Deaf() && !c.link.PeerShut() { // behind its end there is no more
		c.link.UsedUp()
		return
	}
	n, err := c.link.Recv(e.shard.scratch(), e.shard.Millis())
	c.end.Discarded(e.shard.Now(), n)
	e.shard.afterRead(c, n, err)
}

func (e *ends) checkLingerSoon() { e.nextLinger.In(ending.LookEvery) }

// checkLinger ends those that make no progress after that.
func (e *ends) checkLinger() {
	kept := e.lingering[:0]
	for _, c := range e.lingering {
		if c.phase == closed {
			continue
		}
		if n, err := c.link.Unacked(); err == nil {
			c.end.Acknowledged(e.shard.Now(), n)
		}
		if c.end.Over(e.shard.Now(), e.shard.draining, e.shard.stall) {
			e.closeLater(c)
			continue
		}
		kept = append(kept, c)
	}
	clear(e.lingering[len(kept):])
	e.lingering = kept
	if e.shard.draining {
		e.shard.walkAgain() // some may not be read from any more
	}
	if len(kept) > 0 || e.shard.draining && len(e.shard.clients) > 0 {
		e.checkLingerSoon()
	}
}

// closeLater closes c at the end of this turn.
func (e *ends) closeLater(c *client) {
	if c.phase == closed {
		return
	}
	if e.shard.draining {
		e.shard.misses(c)
	}
	c.phase = closed
	e.closing = append(e.closing, c)
}

// closeEnded closes the clients that closeLater collected in this turn.
func (e *ends) closeEnded() {
	for i, c := range e.closing {
		e.closing[i] = nil
		e.release(c)
	}
	e.closing = e.closing[:0]
}

// release frees everything that c has; no other function does. Its order matters.
// What c received is settled while the descriptor is open. The session goes before
// the slot, so that the next client in the slot finds the session free. The
// descriptor goes last, because its number may be reused at once.
func (e *ends) release(c *client) {
	e.shard.remove(c)
	e.shard.walkOver()
	e.shard.endBeats(c)
	e.shard.mark.Settle(&c.seat)
	e.shard.tellMissed(c, c.out.Release())
	c.Forget()
	e.leaveSession(c)
	e.closeLink(&c.link)
	e.engine.release(&c.slot)
	e.engine.leaveBacklog(c)
}

// closeLink closes a descriptor. If the peer takes nothing, a reset discards what
// the kernel still holds for it, which would stay for minutes.
func (e *ends) closeLink(k *link.Link) {
	n, err := k.Unacked()
	switch {
	case err == nil && n > 0 && !k.EOF():
		k.Abort()
	case e.engine.closeSleeps:
		k.CloseApart()
	default:
		k.Close()
	}
}
