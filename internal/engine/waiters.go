//go:build unix

package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"hubbub.example/internal/engine/backlog"
)

// waiters wait for clients to join or leave.
type waiters struct {
	engine   *Engine
	mu       sync.Mutex
	changed  chan struct{} // closed when one does
	watchers atomic.Int32  // the number of waiters
}

// notify wakes the waiters after a client joined or left.
func (w *waiters) notify() {
	if w.watchers.Load() == 0 {
		return
	}
	w.mu.Lock()
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
}

// WaitForClients waits until n clients are connected.
func (w *waiters) WaitForClients(ctx context.Context, n int) error {
	w.watchers.Add(1)
	w.engine.wakeAll() // silent connections count as clients now
	defer w.watchers.Add(-1)
	for {
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		if w.engine.gate.Clients() >= int64(n) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-w.engine.backlog.Stopped():
			return backlog.ErrClosed
		}
	}
}
