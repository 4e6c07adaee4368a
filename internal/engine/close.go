//go:build unix

package engine

// This file ends clients. Every way:
//
//	finish        after what was broadcast so far: it half-closed after it
//	              had sent something, or the hub drains
//	cut           at once, and the log says why
//	closeWith     at once, without a warning: it is kicked
//	writeFailed   after what it sent before is read: it takes no more
//	disconnected  at once: the connection broke
//
// An orderly end is closeWrite: shutdown(SHUT_WR), then read and discard until
// the end of file or until there is no progress (ending.Linger), and only then
// close. Closing with unread input resets the connection and loses what is on
// its way to the peer: a client received 110 of 3,819 KB. Descriptors are closed
// at the end of a turn, so that an event of this turn cannot refer to a
// descriptor that was closed and reused.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/logger"
)

// ends has the clients that are ending.
type ends struct {
	owner
	lingering []*client
	closing   []*client // at the end of this turn

	nextLinger *loop.Timer
}

// finish ends c after it has received what its feed holds now.
func (e *ends) finish(c *client, reason ending.Reason) {
	var v backlog.View
	e.engine.backlog.View(&v)
	c.out.Finish(&v)
	e.flushes(c, reason)
}

// flushes marks c as ending at the end set in its cursor.
func (e *ends) flushes(c *client, reason ending.Reason) {
	c.phase = flushing
	c.ends().Why = reason
	// The next pass sends what is left, or notices that nothing is.
	e.shard.walkAgain()
}

// closeWrite ends our direction: c has received everything it will get.
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

// cut closes c now and logs why.
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

// closeWith ends c now and tells it why.
func (e *ends) closeWith(c *client, reason ending.Reason) {
	c.ends().Cut(reason)
	e.closeWrite(c)
}

// writeFailed handles a failed send. Input that c sent before may still be unread
// while the inbox is full, and closing the descriptor would lose it: devices
// that only report never read, so they often leave with a reset.
func (e *ends) writeFailed(c *client, err error) {
	if n, failed := c.link.Unread(); failed != nil || n == 0 && c.Holds() == 0 {
		e.disconnected(c, ending.Lost(err))
		return
	}
	c.phase = halfBroken
	c.ends().Why = ending.Lost(err)
	e.shard.readSoon(c)
}

// disconnected ends c after its connection broke.
func (e *ends) disconnected(c *client, reason ending.Reason) {
	e.leave(&c.Sender, reason)
	e.shard.mark.Forget(&c.seat) // a client reset before it takes a byte received nothing
	e.closeLater(c)
}

// checkHangUp ends c when neither side can send any more and all input has been
// read. The end of file alone is not enough: c may be watching.
func (e *ends) checkHangUp(c *client) {
	if !c.link.HungUp() || !c.link.EOF() || c.phase >= closed {
		return
	}
	// A reset after the end of file shows only here; read(2) returns 0 again.
	if err := c.link.PendingError(); err != nil {
		e.disconnected(c, ending.Lost(err))
		return
	}
	e.leave(&c.Sender, ending.Done())
	e.closeLater(c)
}

// leave reports once that a client has left.
func (e *ends) leave(s *intake.Sender, reason ending.Reason) {
	if !s.Present() {
		return
	}
	e.engine.registry.leave(s.ID())
	e.shard.in.Presence(intake.Leave, s, reason)
	e.engine.log.Debugf("client %d (%s) left: %s", s.ID(), s.Addr(), reason.Text)
}

// closedByPeer answers the close frame of c with the same code.
func (e *ends) closedByPeer(c *client, reason ending.Reason) {
	if c.phase == halfBroken {
		e.disconnected(c, c.end.Why)
		return
	}
	c.ends().Why = reason
	e.closeWrite(c)
}

// leaveSession frees c's session, if it has one, for another connection.
func (e *ends) leaveSession(c *client) {
	if x := c.Session(); x != nil {
		e.engine.sessions.Leave(x, c, c.Addr())
	}
}

// discard reads and drops what a lingering client still sends.
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

// checkLinger closes lingering clients that make no progress.
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

// closeEnded closes the clients that closeLater collected.
func (e *ends) closeEnded() {
	for i, c := range e.closing {
		e.closing[i] = nil
		e.release(c)
	}
	e.closing = e.closing[:0]
}

// release frees everything that c has; no other function does. The order matters:
// what c received is settled while the descriptor is open; the session goes
// before the slot, so that the next client in the slot finds the session free.
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

// closeLink closes a descriptor. A reset discards what the kernel still holds for
// a peer that takes nothing, which would stay for minutes.
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
