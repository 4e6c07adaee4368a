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
	wake     func() // wakes all loops
	reader   atomic.Pointer[reader]
	deferred atomic.Int64 // joins and leaves that found no batch

	mu      sync.Mutex
	free    []*Batch // last in, first out: its bytes are still in the cache
	starved bool     // a writer found none
}

// reader receives batches on the loop of a writer, without waiting.
type reader struct {
	beside *Writer
	wake   func()
}

// NewInbox makes an inbox for a number of writers. Once closed is closed, nothing more
// is written. Wake wakes all loops: a batch is free, or no join or leave is deferred
// any more.
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

// SetReader sets who receives on the loop of writer beside, whose own batches need no
// wake-up; nil for nobody.
func (in *Inbox) SetReader(beside *Writer, wake func()) {
	if beside == nil {
		in.reader.Store(nil)
		return
	}
	in.reader.Store(&reader{beside, wake})
}

// Deferred reports whether joins or leaves of any writer wait for a batch. No connection
// may be accepted meanwhile.
func (in *Inbox) Deferred() bool { return in.deferred.Load() > 0 }

// Shrink frees the memory of unused batches.
func (in *Inbox) Shrink() {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, b := range in.free {
		b.data, b.records = nil, nil
	}
}

// take returns an empty batch, or nil while the caller is behind. Then all loops are
// woken once a batch is free.
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
	in.filled <- b // never blocks: it has room for all batches
	if r := in.reader.Load(); r != nil && r.beside != w {
		r.wake()
	}
}
