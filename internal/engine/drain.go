//go:build unix

package engine

// This file ends a hub (shutdown.go: each of its shards):
//
//	Settle   waits until everything is delivered; the hub goes on serving
//	Drain    stops accepting and broadcasting, delivers what there is, and closes
//	Close    closes at once
//	Wait     waits until it is closed

import (
	"context"
	"errors"
	"sync"
	"time"

	"hubbub.example/internal/engine/backlog"
)

// Left is what could not be delivered.
type Left struct {
	Clients int   // clients that have not received everything
	Bytes   int64 // bytes that they have not acknowledged
	Unheard int64 // messages that no client has received
	Unread  int64 // bytes from clients that the inbox did not take
}

// look is the interval between two checks of progress.
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

// drainSource broadcasts what the first shard has read from its source and still
// holds. The backlog may exceed its limit by as much.
func (x *life) drainSource() {
	l := x.engine.loops[0]
	l.call(func() {
		for _, h := range l.handlers {
			h.Drain()
		}
	})
}

// await waits until done, or until there is no progress for stall, and returns
// what is left.
func (x *life) await(ctx context.Context, stall time.Duration, done func(left Left) bool) (Left, error) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	// Counted in looks: while the process is stopped nobody can make progress.
	best, stalled := x.left(), time.Duration(0)
	for left := best; ; left = x.left() {
		if done(left) {
			return x.left(), nil // the last may have gone since
		}
		if left.Bytes < best.Bytes || left.Clients < best.Clients || left.Unheard < best.Unheard || left.Unread < best.Unread {
			best, stalled = left, 0
		}
		if stalled >= stall {
			return left, nil
		}
		stalled += look
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return x.left(), nil
		case <-x.closed:
			return Left{}, backlog.ErrClosed
		}
	}
}

// left returns what has not been delivered, including what clients that closed
// during the drain have missed.
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

// fail records the error that ended a loop.
func (x *life) fail(err error) {
	x.failed.Lock()
	x.failure = errors.Join(x.failure, err)
	x.failed.Unlock()
	x.engine.log.Warnf("%v", err)
}
