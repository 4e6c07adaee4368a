//go:build unix

package intake

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// batchesEach is how many batches there are for each writer.
const batchesEach = 4

// Inbox is the queue from the writers to the caller. Its methods may be called
// by any goroutine.
type Inbox struct {
	Config
	filled   chan *Batch
	closed   <-chan struct{}
	wake     func() // has all loops look again
	reader   atomic.Pointer[reader]
	deferred atomic.Int64 // joins and leaves that found no batch

	mu      sync.Mutex
	free    []*Batch // the last one given back goes out first: its bytes are still in the cache
	starved bool     // a writer found none
}

// reader is who takes batches without waiting for them, on the loop of a writer.
type reader struct {
	beside *Writer
	wake   func()
}

// NewInbox makes an inbox for so many writers. Once closed is closed, nothing
// more is written. Wake has all loops look again: there is a free batch, or the
// last deferred join or leave has found one.
func NewInbox(c Config, writers int, closed <-chan struct{}, wake func()) *Inbox {
	n := writers * batchesEach
	in := &Inbox{Config: c, filled: make(chan *Batch, n), closed: closed, wake: wake}
	for range n {
		in.free = append(in.free, &Batch{inbox: in})
	}
	return in
}

// Receive returns the next batch, when there is one. The error is io.EOF after
// the inbox was closed and all was received, else ctx's.
func (in *Inbox) Receive(ctx context.Context) (*Batch, error) {
	if b := in.TryReceive(); b != nil {
		return b, nil
	}
	select {
	case b := <-in.filled:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-in.closed:
	}
	if b := in.TryReceive(); b != nil {
		return b, nil
	}
	return nil, io.EOF
}

// TryReceive returns the next batch, or nil if there is none now.
func (in *Inbox) TryReceive() *Batch {
	select {
	case b := <-in.filled:
		return b
	default:
		return nil
	}
}

// Batches returns how many there are.
func (in *Inbox) Batches() int { return cap(in.filled) }

// SetReader names who takes the batches on the loop of this writer, which needs
// no wake-up for its own; nil: nobody does.
func (in *Inbox) SetReader(beside *Writer, wake func()) {
	if beside == nil {
		in.reader.Store(nil)
		return
	}
	in.reader.Store(&reader{beside, wake})
}

// Deferred reports whether joins or leaves wait for a batch, of any writer.
// Until none does, nobody may be accepted.
func (in *Inbox) Deferred() bool { return in.deferred.Load() > 0 }

// Shrink lets go of the memory of batches that are not in use.
func (in *Inbox) Shrink() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, b := range in.free {
		b.data, b.records = nil, nil
	}
}

// take returns an empty batch, or nil while the caller is behind; then all loops
// are woken when there is one.
func (in *Inbox) take() *Batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.free) - 1
	if n < 0 {
		in.starved = true
		return nil
	}
	b := in.free[n]
	in.free = in.free[:n]
	if b.data == nil {
		b.data = make([]byte, 0, batchBytes)
	}
	return b
}

// putBack takes an empty batch back.
func (in *Inbox) putBack(b *Batch) {
	in.mu.Lock()
	in.free = append(in.free, b)
	starved := in.starved
	in.starved = false
	in.mu.Unlock()
	if starved {
		in.wake()
	}
}

// handOver queues a batch that w has filled.
func (in *Inbox) handOver(w *Writer, b *Batch) {
	in.filled <- b // never waits: it holds as many as there are
	if r := in.reader.Load(); r != nil && r.beside != w {
		r.wake()
	}
}
