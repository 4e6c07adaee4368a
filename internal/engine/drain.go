//go:build unix

package engine

// This file ends a hub:
//
//	Settle   waits until everything is delivered; the hub goes on serving
//	Drain    stops accepting and broadcasting, delivers what there is, and closes
//	Close    closes at once
//	Wait     waits until it is closed

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/sock"
)

// Left is what could not be delivered.
type Left struct {
	Clients int   // clients that have not received everything
	Bytes   int64 // bytes that they have not acknowledged
	Unheard int64 // messages that no client has received
	Unread  int64 // bytes from clients that the inbox did not take
}

// look is the interval between two checks of the progress.
const look = 20 * time.Millisecond

// life is how the hub ends.
type life struct {
	engine  *Engine
	running sync.WaitGroup // the loops
	closed  chan struct{}  // the loops have ended
	close   sync.Once
	failed  sync.Mutex // guards failure
	failure error      // what ended a loop
}

// Settle waits until every client has acknowledged what was broadcast, and some
// client has received each message. It gives up after stall without progress, and
// returns what is left.
func (x *life) Settle(ctx context.Context, stall time.Duration) (Left, error) {
	// It does not wait for lost messages.
	left, err := x.await(ctx, stall, func(left Left) bool {
		return left.Clients == 0 && left.Unheard <= x.engine.backlog.Lost()
	})
	select {
	case <-x.closed: // no loop is left to ask
		return Left{}, backlog.ErrClosed
	default:
		return left, err
	}
}

// Drain stops accepting and broadcasting, sends every client the rest of its feed,
// and then closes the client. After stall without progress, or when ctx is done, it
// closes the remaining clients at once.
func (x *life) Drain(ctx context.Context, stall time.Duration) (Left, error) {
	x.drainSource()
	x.engine.backlog.Stop()
	go x.engine.endWeb() // a body may be endless
	x.engine.loops[0].Do(x.engine.loops[0].acceptor.Close)
	for _, l := range x.engine.loops {
		l.Do(func() { l.drain(stall) })
	}
	left, err := x.await(ctx, stall, func(Left) bool { return x.engine.gate.Clients() == 0 })
	return left, errors.Join(err, x.Close())
}

// drainSource broadcasts what the loop has read from its source and holds: it
// stands nowhere else any more. It may exceed the backlog by as much.
func (x *life) drainSource() {
	l := x.engine.loops[0]
	said := make(chan struct{})
	l.Do(func() {
		for _, h := range l.handlers {
			h.Drain()
		}
		close(said)
	})
	select {
	case <-said:
	case <-x.closed:
	}
}

// shutdown is the end of a shard.
type shutdown struct {
	owner
	draining  bool
	stall     time.Duration // draining: how long nobody may make progress
	hearUntil time.Time     // draining: up to when what they had said is read first, if no more is
	hearEnd   time.Time     // draining: and in any case
	failed    Left          // draining: what those missed that ended
	quitting  bool          // all is closed; events may still wait for the inbox
	quit      bool
}

// drain has every client of this loop finish.
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

// finishForShutdown lets c finish because the hub drains.
func (d *shutdown) finishForShutdown(c *client) {
	// Nothing is broadcast any more, so every feed ends at its head.
	d.shard.finish(c, ending.Shutdown())
	d.receiveRest(c)
}

// await waits until done, or until there is no progress for stall. It returns what
// is left.
func (x *life) await(ctx context.Context, stall time.Duration, done func(left Left) bool) (Left, error) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	best, since := x.left(), time.Now()
	for left := best; ; left = x.left() {
		if done(left) {
			return x.left(), nil // the last may have gone since
		}
		if left.Bytes < best.Bytes || left.Clients < best.Clients || left.Unheard < best.Unheard || left.Unread < best.Unread {
			best, since = left, time.Now()
		}
		if time.Since(since) >= stall {
			return left, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return x.left(), nil
		case <-x.closed:
			return Left{}, backlog.ErrClosed
		}
	}
}

// left is what has not been delivered. It includes what clients that closed during
// the drain did not get.
func (x *life) left() Left {
	var sum Left
	all := askAll(x.engine, (*shard).left)
	for _, r := range all {
		sum.Clients += r.Clients
		sum.Bytes += r.Bytes
		sum.Unread += r.Unread
	}
	if len(all) < len(x.engine.loops) { // closed
		return sum
	}
	sum.Unheard = x.engine.backlog.Unheard()
	return sum
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

// misses counts what c, which closes, has not been sent, and what it said that
// has not been read.
func (d *shutdown) misses(c *client) {
	if owed := d.owed(c); owed > 0 && !c.link.EOF() {
		d.failed.Clients++
		d.failed.Bytes += owed
	}
	if c.end != nil {
		d.leavesUnread(c)
	}
}

// leavesUnread counts what c, which ends, has said and nobody will read.
func (d *shutdown) leavesUnread(c *client) {
	d.failed.Unread += int64(c.end.Unread)
	c.end.Unread = 0
}

// owed is the number of bytes not yet sent to c or not acknowledged by it.
func (d *shutdown) owed(c *client) int64 {
	owed := c.link.Owed()
	if c.phase.sends() || c.phase == halfBroken {
		var v backlog.View
		d.engine.backlog.View(&v)
		owed += c.out.Owed(&v)
	}
	return owed
}

// Close closes the hub at once. What clients sent before can still be received.
func (x *life) Close() error {
	x.close.Do(func() {
		x.engine.backlog.Stop()
		x.engine.endWeb()
		for _, l := range x.engine.loops {
			l.Do(l.closeAll)
		}
		ended := make(chan struct{})
		go func() { x.running.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(time.Second):
			// The caller takes nothing more out of the inbox.
			for _, l := range x.engine.loops {
				l.Do(func() { l.quit = true })
			}
			<-ended
		}
		x.end()
	})
	return x.Wait()
}

// Wait waits until the hub is closed. The error is what ended it, if it was
// neither Close nor Drain.
func (x *life) Wait() error {
	<-x.closed
	x.failed.Lock()
	defer x.failed.Unlock()
	return x.failure
}

// end frees the hub's own resources after all loops have returned.
func (x *life) end() {
	for _, l := range x.engine.loops {
		l.abandon()
		if err := l.Close(); err != nil {
			x.fail(err)
		}
	}
	if err := x.engine.backlog.Close(); err != nil {
		x.fail(err)
	}
	holding.Add(-int64(len(x.engine.loops)))
	close(x.closed)
	x.engine.log.Close()
}

// abandon closes what the loop still has after its end: clients that were on
// their way to it, and everything if it died.
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

// closeAll closes all clients of this loop.
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

// checkQuit ends the loop when all clients are closed and all events are delivered.
func (d *shutdown) checkQuit() {
	if d.quitting && len(d.shard.clients)+d.shard.lobby.Len()+d.shard.asked == 0 && !d.shard.in.Deferred() {
		d.quit = true
	}
}

// receiveRest has what c has sent by now received before the end, although it
// was not c that ended.
func (d *shutdown) receiveRest(c *client) {
	if !d.engine.inbox.Messages || c.link.EOF() {
		return
	}
	if n, err := c.link.Unread(); err == nil && n > 0 {
		c.ends().Unread = n
		d.shard.readSoon(c)
	}
}

// receivesRest reports whether the rest of c's input is still received: as long
// as the inbox takes something. That must leave time to close in order.
func (d *shutdown) receivesRest(c *client) bool {
	return c.end.Unread > 0 && d.shard.Now().Before(d.hearUntil) && d.shard.Now().Before(d.hearEnd)
}

// receivedOf counts n bytes of the rest of c's input as received.
func (d *shutdown) receivedOf(c *client, n int) {
	if c.end.Unread > 0 {
		c.end.Unread = max(0, c.end.Unread-n)
		d.hearUntil = d.shard.Now().Add(d.stall / 2)
		d.shard.walkAgain()
	}
}

// fail records the error that ended a loop.
func (x *life) fail(err error) {
	x.failed.Lock()
	x.failure = errors.Join(x.failure, err)
	x.failed.Unlock()
	x.engine.log.Warnf("%v", err)
}
