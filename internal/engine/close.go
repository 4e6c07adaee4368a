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
	"hubbub.example/internal/logger"
)

// finish lets c have what its feed holds now, then ends it for reason.
func (l *shard) finish(c *client, reason ending.Reason) {
	var v backlog.View
	l.engine.backlog.View(&v)
	c.out.Finish(&v)
	l.flushes(c, reason)
}

// flushes has c end, for reason, where its feed ends now.
func (l *shard) flushes(c *client, reason ending.Reason) {
	c.phase = flushing
	c.ends().Why = reason
	// The next pass sends what is left, or finds that nothing is.
	l.pass.again = true
}

// closeWrite ends our direction: c has all it is to get.
func (l *shard) closeWrite(c *client) {
	var v backlog.View
	l.engine.backlog.View(&v)
	c.out.Close(&v, &l.engine.policy, c.end.Why, c.ID() != 0 && !c.link.EOF())
	c.phase = lingering
	l.failed.Unread += int64(c.end.Unread)
	c.end.Unread = 0
	c.Forget() // an incomplete message is discarded
	l.leave(&c.Sender, c.end.Why)
	if err := l.sendClosing(c); err != nil || c.link.EOF() {
		l.closeLater(c)
		return
	}
	unacked, _ := c.link.Unacked()
	c.end.Begin(l.Now(), unacked)
	l.lingering = append(l.lingering, c)
	l.nextLinger.In(ending.LookEvery)
	l.readSoon(c) // close with unread input sends a reset
}

// cut closes c now, for a reason that is worth a line in the log.
func (l *shard) cut(c *client, reason ending.Reason) {
	if c.phase == halfBroken { // it cannot be sent a close frame
		l.disconnected(c, c.end.Why)
		return
	}
	if !c.phase.sends() {
		return
	}
	unread := 0
	if n, err := c.link.Unread(); err == nil && l.engine.inbox.Messages {
		unread = n
	}
	l.engine.log.Group(reason.Grouped(), unread, "client %d (%s) closed: %s%s", c.ID(), c.Addr(), reason.Text, logger.Unread(int64(unread), "it"))
	l.closeWith(c, reason)
}

// closeWith ends c now: it gets no more, but is told why.
func (l *shard) closeWith(c *client, reason ending.Reason) {
	c.ends().Cut(reason)
	l.closeWrite(c)
}

// writeFailed is c whose connection takes no more. What it sent before that may still
// wait to be read, as it does while the inbox is full, and is lost with the
// descriptor: many who only report never read what they are told, so that
// they leave with a reset.
func (l *shard) writeFailed(c *client, err error) {
	if n, failed := c.link.Unread(); failed != nil || n == 0 && c.Holds() == 0 {
		l.disconnected(c, ending.Lost(err))
		return
	}
	c.phase = halfBroken
	c.ends().Why = ending.Lost(err)
	l.readSoon(c)
}

// disconnected ends c when the connection is no more.
func (l *shard) disconnected(c *client, reason ending.Reason) {
	l.leave(&c.Sender, reason)
	l.mark.Forget(&c.seat) // a client reset before it takes a byte received nothing
	l.closeLater(c)
}

// checkHangUp ends c when neither side can send any more, and all that c sent
// is received. Its end of file alone would not do: it may watch.
func (l *shard) checkHangUp(c *client) {
	if !c.link.HungUp() || !c.link.EOF() || c.phase >= closed {
		return
	}
	// A reset after the end of file shows here only; read(2) says the end again.
	if err := c.link.PendingError(); err != nil {
		l.disconnected(c, ending.Lost(err))
		return
	}
	l.leave(&c.Sender, ending.Done())
	l.closeLater(c)
}

// leave says once that a client is gone.
func (l *shard) leave(s *intake.Sender, reason ending.Reason) {
	if !s.Present() {
		return
	}
	l.engine.registry.leave(s.ID())
	l.in.Presence(intake.Leave, s, reason)
	l.engine.log.Debugf("client %d (%s) left: %s", s.ID(), s.Addr(), reason.Text)
}

// closedByPeer is c that ends its WebSocket: it gets its own code back.
func (l *shard) closedByPeer(c *client, reason ending.Reason) {
	if c.phase == halfBroken {
		l.disconnected(c, c.end.Why)
		return
	}
	c.ends().Why = reason
	l.closeWrite(c)
}

// leaveSession detaches c's session, if it has one, for another connection.
func (l *shard) leaveSession(c *client) {
	if x := c.Session(); x != nil {
		l.engine.sessions.Leave(x, c, c.Addr())
	}
}

// discard reads what a client still sends after the end of our direction.
func (l *shard) discard(c *client) {
	if c.end.Deaf() && !c.link.PeerShut() { // behind its end there is no more
		c.link.UsedUp()
		return
	}
	n, err := c.link.Recv(l.scratch(), l.Millis())
	c.end.Discarded(l.Now(), n)
	l.afterRead(c, n, err)
}

// checkLinger ends those that make no progress after that.
func (l *shard) checkLinger() {
	kept := l.lingering[:0]
	for _, c := range l.lingering {
		if c.phase == closed {
			continue
		}
		if n, err := c.link.Unacked(); err == nil {
			c.end.Acknowledged(l.Now(), n)
		}
		if c.end.Over(l.Now(), l.draining, l.stall) {
			l.closeLater(c)
			continue
		}
		kept = append(kept, c)
	}
	clear(l.lingering[len(kept):])
	l.lingering = kept
	if l.draining {
		l.pass.again = true // some may not be read from any more
	}
	if len(kept) > 0 || l.draining && len(l.clients) > 0 {
		l.nextLinger.In(ending.LookEvery)
	}
}

// closeLater closes c at the end of this turn.
func (l *shard) closeLater(c *client) {
	if c.phase == closed {
		return
	}
	if owed := l.owed(c); l.draining && owed > 0 && !c.link.EOF() {
		l.failed.Clients++
		l.failed.Bytes += owed
	}
	if c.end != nil && l.draining {
		l.failed.Unread += int64(c.end.Unread) // it closed before all its input was read
		c.end.Unread = 0
	}
	c.phase = closed
	l.closing = append(l.closing, c)
}

// closeEnded closes the clients that closeLater collected in this turn.
func (l *shard) closeEnded() {
	for i, c := range l.closing {
		l.closing[i] = nil
		l.release(c)
	}
	l.closing = l.closing[:0]
}

// release frees everything that c has; no other function does. Its order matters.
// What c received is settled while the descriptor is open. The session goes before
// the slot, so that the next client in the slot finds the session free. The
// descriptor goes last, because its number may be reused at once.
func (l *shard) release(c *client) {
	l.clients.remove(c)
	l.byFD[c.link.FD()] = nil
	if l.pass.next > 0 {
		l.pass.again = true // the walk may have skipped the client now in its place
	}
	if c.Protocol().Beats() {
		l.beating--
	}
	l.mark.Settle(&c.seat)
	l.tellMissed(c, c.out.Release())
	c.Forget()
	l.leaveSession(c)
	l.closeLink(&c.link)
	l.engine.release(&c.slot)
	l.engine.leaveBacklog(c)
}

// closeLink closes a descriptor. If the peer takes nothing, a reset discards what
// the kernel still holds for it, which would stay for minutes.
func (l *shard) closeLink(k *link.Link) {
	n, err := k.Unacked()
	switch {
	case err == nil && n > 0 && !k.EOF():
		k.Abort()
	case l.engine.closeSleeps:
		k.CloseApart()
	default:
		k.Close()
	}
}
