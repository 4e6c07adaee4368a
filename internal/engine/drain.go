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

// Settle waits until every client has acknowledged what was broadcast, and some
// client has received each message. It gives up after stall without progress, and
// returns what is left.
func (h *Engine) Settle(ctx context.Context, stall time.Duration) (Left, error) {
	// It does not wait for lost messages.
	left, err := h.await(ctx, stall, func(left Left) bool {
		return left.Clients == 0 && left.Unheard <= h.backlog.Lost()
	})
	select {
	case <-h.closed: // no loop is left to ask
		return Left{}, backlog.ErrClosed
	default:
		return left, err
	}
}

// Drain stops accepting and broadcasting, sends every client the rest of its feed,
// and then closes the client. After stall without progress, or when ctx is done, it
// closes the remaining clients at once.
func (h *Engine) Drain(ctx context.Context, stall time.Duration) (Left, error) {
	h.drainSource()
	h.backlog.Stop()
	go h.endWeb() // a body may be endless
	h.loops[0].Do(h.loops[0].acceptor.Close)
	for _, l := range h.loops {
		l.Do(func() { l.drain(stall) })
	}
	left, err := h.await(ctx, stall, func(Left) bool { return h.gate.Clients() == 0 })
	return left, errors.Join(err, h.Close())
}

// drainSource broadcasts what the loop has read from its source and holds: it
// stands nowhere else any more. It may exceed the backlog by as much.
func (h *Engine) drainSource() {
	l := h.loops[0]
	said := make(chan struct{})
	l.Do(func() {
		for _, h := range l.handlers {
			h.Drain()
		}
		close(said)
	})
	select {
	case <-said:
	case <-h.closed:
	}
}

// drain has every client of this loop finish.
func (l *shard) drain(stall time.Duration) {
	l.draining, l.stall = true, stall
	l.hearUntil, l.hearEnd = l.Now().Add(stall/2), l.Now().Add(stall*3/4)
	l.nextLinger.In(ending.LookEvery)
	for _, c := range l.clients {
		if c.phase == open {
			l.finishForShutdown(c)
		}
	}
	l.actAll(l.lobby.Drain(l.engine.backlog.Head()))
}

// finishForShutdown lets c finish because the hub drains.
func (l *shard) finishForShutdown(c *client) {
	// Nothing is broadcast any more, so every feed ends at its head.
	l.finish(c, ending.Shutdown())
	l.receiveRest(c)
}

// await waits until done, or until there is no progress for stall. It returns what
// is left.
func (h *Engine) await(ctx context.Context, stall time.Duration, done func(left Left) bool) (Left, error) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	best, since := h.left(), time.Now()
	for left := best; ; left = h.left() {
		if done(left) {
			return h.left(), nil // the last may have gone since
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
			return h.left(), nil
		case <-h.closed:
			return Left{}, backlog.ErrClosed
		}
	}
}

// left is what has not been delivered. It includes what clients that closed during
// the drain did not get.
func (h *Engine) left() Left {
	var sum Left
	all := askAll(h, (*shard).left)
	for _, r := range all {
		sum.Clients += r.Clients
		sum.Bytes += r.Bytes
		sum.Unread += r.Unread
	}
	if len(all) < len(h.loops) { // closed
		return sum
	}
	sum.Unheard = h.backlog.Unheard()
	return sum
}

func (l *shard) left() Left {
	sum := l.failed
	for _, c := range l.clients {
		if n := l.owed(c); n > 0 && c.ID() != 0 {
			sum.Clients++
			sum.Bytes += n
		}
		if c.end != nil && (c.phase == flushing || c.phase == halfBroken) {
			sum.Unread += int64(c.end.Unread)
		}
	}
	return sum
}

// owed is the number of bytes not yet sent to c or not acknowledged by it.
func (l *shard) owed(c *client) int64 {
	owed := c.link.Owed()
	if c.phase.sends() || c.phase == halfBroken {
		var v backlog.View
		l.engine.backlog.View(&v)
		owed += c.out.Owed(&v)
	}
	return owed
}

// Close closes the hub at once. What clients sent before can still be received.
func (h *Engine) Close() error {
	h.close.Do(func() {
		h.backlog.Stop()
		h.endWeb()
		for _, l := range h.loops {
			l.Do(l.closeAll)
		}
		ended := make(chan struct{})
		go func() { h.running.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(time.Second):
			// The caller takes nothing more out of the inbox.
			for _, l := range h.loops {
				l.Do(func() { l.quit = true })
			}
			<-ended
		}
		h.end()
	})
	return h.Wait()
}

// Wait waits until the hub is closed. The error is what ended it, if it was
// neither Close nor Drain.
func (h *Engine) Wait() error {
	<-h.closed
	h.failed.Lock()
	defer h.failed.Unlock()
	return h.failure
}

// end frees the hub's own resources after all loops have returned.
func (h *Engine) end() {
	for _, l := range h.loops {
		l.abandon()
		if err := l.Close(); err != nil {
			h.fail(err)
		}
	}
	if err := h.backlog.Close(); err != nil {
		h.fail(err)
	}
	holding.Add(-int64(len(h.loops)))
	close(h.closed)
	h.log.Close()
}

// abandon closes what the loop still has after its end: clients that were on
// their way to it, and everything if it died.
func (l *shard) abandon() {
	l.acceptor.Close()
	l.acceptor.CloseReserve()
	for _, c := range l.clients {
		l.mark.Forget(&c.seat)
		c.link.Close()
		l.engine.gate.Release(&c.slot)
	}
	for _, k := range slices.Concat(l.lobby.Empty(), l.mail.conns) {
		_ = sock.Close(int(k.FD))
		l.engine.gate.Release(&k.Slot)
	}
	for _, a := range l.mail.arrivals {
		_ = sock.Close(a.FD)
		l.engine.gate.Release(&a.Slot)
	}
	l.clients, l.mail.conns, l.mail.arrivals = nil, nil, nil
}

// closeAll closes all clients of this loop.
func (l *shard) closeAll() {
	l.acceptor.Close()
	l.quitting = true
	for _, k := range l.lobby.Empty() {
		l.closeConn(k)
	}
	for _, c := range l.clients {
		l.leave(&c.Sender, ending.Shutdown())
		l.closeLater(c)
	}
	for _, p := range l.posts {
		l.leave(&p.Sender, ending.Shutdown())
	}
}

// checkQuit ends the loop when all clients are closed and all events are delivered.
func (l *shard) checkQuit() {
	if l.quitting && len(l.clients)+l.lobby.Len()+l.asked == 0 && !l.in.Deferred() {
		l.quit = true
	}
}

// receiveRest has what c has sent by now received before the end, although it
// was not c that ended.
func (l *shard) receiveRest(c *client) {
	if !l.engine.inbox.Messages || c.link.EOF() {
		return
	}
	if n, err := c.link.Unread(); err == nil && n > 0 {
		c.ends().Unread = n
		l.readSoon(c)
	}
}

// receivesRest reports whether the rest of c's input is still received: as long
// as the inbox takes something. That must leave time to close in order.
func (l *shard) receivesRest(c *client) bool {
	return c.end.Unread > 0 && l.Now().Before(l.hearUntil) && l.Now().Before(l.hearEnd)
}

// receivedOf counts n bytes of the rest of c's input as received.
func (l *shard) receivedOf(c *client, n int) {
	if c.end.Unread > 0 {
		c.end.Unread = max(0, c.end.Unread-n)
		l.hearUntil = l.Now().Add(l.stall / 2)
		l.pass.again = true
	}
}
