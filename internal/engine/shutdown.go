//go:build unix

package engine

// This file ends a shard:
//
//	drain     has every client finish, and what it said before be read
//	closeAll  closes every client at once
//	abandon   closes what is left after the last turn

import (
	"slices"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/sock"
)

// shutdown is the end of a shard.
type shutdown struct {
	owner
	draining  bool
	stall     time.Duration // how long a drain goes on without progress
	hearUntil time.Time     // drain: input is read first until then, or later if it progresses
	hearEnd   time.Time     // drain: but not later than this
	failed    Left          // drain: what clients that ended meanwhile missed
	quitting  bool          // every client is closed; events may still wait for the inbox
	quit      bool          // the loop ends with this turn
}

// drain has every client of this shard finish.
func (d *shutdown) drain(stall time.Duration) {
	d.draining, d.stall = true, stall
	d.hearUntil, d.hearEnd = d.shard.Now().Add(stall/2), d.shard.Now().Add(stall*3/4)
	d.shard.checkLingerSoon()
	for _, c := range d.shard.clients {
		if c.phase == open {
			d.finishForShutdown(c)
		}
	}
	d.shard.actAll(d.shard.lobby.Drain(d.engine.backlog.Head()))
}

// finishForShutdown has c finish because the hub drains.
func (d *shutdown) finishForShutdown(c *client) {
	// Nothing is broadcast any more, so every feed ends at its head.
	d.shard.finish(c, ending.Shutdown())
	d.receiveRest(c)
}

// receiveRest has the input that c has sent by now read before c ends.
func (d *shutdown) receiveRest(c *client) {
	if !d.engine.inbox.Messages || c.link.EOF() {
		return
	}
	if n, err := c.link.Unread(); err == nil && n > 0 {
		c.ends().Unread = n
		d.shard.readSoon(c)
	}
}

// receivesRest reports whether the rest of c's input is still read: as long as
// the inbox takes something, and there is time left to close in order.
func (d *shutdown) receivesRest(c *client) bool {
	return c.end.Unread > 0 && d.shard.Now().Before(d.hearUntil) && d.shard.Now().Before(d.hearEnd)
}

// receivedOf counts n bytes of the rest of c's input as read.
func (d *shutdown) receivedOf(c *client, n int) {
	if c.end.Unread > 0 {
		c.end.Unread = max(0, c.end.Unread-n)
		d.hearUntil = d.shard.Now().Add(d.stall / 2)
		d.shard.walkAgain()
	}
}

func (d *shutdown) left() Left {
	sum := d.failed
	for _, c := range d.shard.clients {
		if n := d.owed(c); n > 0 && c.ID() != 0 {
			sum.Clients++
			sum.Bytes += n
		}
		if c.end != nil && (c.phase == flushing || c.phase == halfBroken) {
			sum.Unread += int64(c.end.Unread)
		}
	}
	return sum
}

// owed returns the number of bytes not yet sent to c or not acknowledged by it.
func (d *shutdown) owed(c *client) int64 {
	owed := c.link.Owed()
	if c.phase.sends() || c.phase == halfBroken {
		var v backlog.View
		d.engine.backlog.View(&v)
		owed += c.out.Owed(&v)
	}
	return owed
}

// misses counts what c has not received, and its unread input, when it closes.
func (d *shutdown) misses(c *client) {
	if owed := d.owed(c); owed > 0 && !c.link.EOF() {
		d.failed.Clients++
		d.failed.Bytes += owed
	}
	if c.end != nil {
		d.leavesUnread(c)
	}
}

// leavesUnread counts the input of c that nobody will read.
func (d *shutdown) leavesUnread(c *client) {
	d.failed.Unread += int64(c.end.Unread)
	c.end.Unread = 0
}

// abandon closes what the shard still has after its last turn: clients that were
// on their way to it, and everything if it died.
func (d *shutdown) abandon() {
	d.shard.acceptor.Close()
	d.shard.acceptor.CloseReserve()
	for _, c := range d.shard.clients {
		d.shard.mark.Forget(&c.seat)
		c.link.Close()
		d.engine.gate.Release(&c.slot)
	}
	for _, k := range slices.Concat(d.shard.lobby.Empty(), d.shard.mail.conns) {
		_ = sock.Close(int(k.FD))
		d.engine.gate.Release(&k.Slot)
	}
	for _, a := range d.shard.mail.arrivals {
		_ = sock.Close(a.FD)
		d.engine.gate.Release(&a.Slot)
	}
	d.shard.clients, d.shard.mail.conns, d.shard.mail.arrivals = nil, nil, nil
}

// closeAll closes all clients of this shard.
func (d *shutdown) closeAll() {
	d.shard.acceptor.Close()
	d.quitting = true
	for _, k := range d.shard.lobby.Empty() {
		d.shard.closeConn(k)
	}
	for _, c := range d.shard.clients {
		d.shard.leave(&c.Sender, ending.Shutdown())
		d.shard.closeLater(c)
	}
	for _, p := range d.shard.posts {
		d.shard.leave(&p.Sender, ending.Shutdown())
	}
}

// checkQuit ends the loop once all clients are closed and all events delivered.
func (d *shutdown) checkQuit() {
	if d.quitting && len(d.shard.clients)+d.shard.lobby.Len()+d.shard.asked == 0 && !d.shard.in.Deferred() {
		d.quit = true
	}
}
