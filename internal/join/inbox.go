package join

import (
	"bytes"
	"sync"

	"hubbub.example/internal/proto"
)

// An inbox is a bounded queue of messages for STDOUT. Receiving continues while STDOUT
// is slow, because acknowledgements come between the server's messages. It outlives
// connections.
//
// One goroutine writes, and one at a time adds.
type inbox struct {
	out *printer

	idle func()      // called when everything is on STDOUT
	lost func(error) // called when STDOUT is lost

	mu      sync.Mutex
	changed sync.Cond

	waiting bytes.Buffer
	last    proto.Point // the message that waiting ends with
	batch   proto.Point // the last message of what is being written
	printed proto.Point // the last message on STDOUT
	writing bool
	broken  bool // STDOUT is lost
	closed  bool

	done chan struct{} // closed when nothing more will be written
}

const inboxSize = 1 << 20

func newInbox(out *printer, idle func(), lost func(error)) *inbox {
	b := &inbox{out: out, idle: idle, lost: lost, done: make(chan struct{})}
	b.changed.L = &b.mu
	return b
}

// run writes until close.
func (b *inbox) run() {
	defer close(b.done)
	var batch bytes.Buffer
	for b.next(&batch) {
		err := b.out.write(batch.Bytes())
		batch.Reset()
		if batch.Cap() > inboxSize {
			batch = bytes.Buffer{}
		}
		b.wrote(err)
	}
}

// next waits for something to write and swaps it with an empty buffer.
func (b *inbox) next(batch *bytes.Buffer) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.waiting.Len() == 0 && !b.closed {
		b.changed.Wait()
	}
	if b.waiting.Len() == 0 || b.broken {
		return false
	}
	b.waiting, *batch = *batch, b.waiting
	b.batch, b.writing = b.last, true
	b.changed.Broadcast()
	return true
}

func (b *inbox) wrote(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = false
	if err != nil {
		b.broken = true
		b.lost(err)
		b.changed.Broadcast()
		return
	}
	b.printed = b.batch
	if b.waiting.Len() == 0 {
		b.idle()
	}
}

// add adds what render appends, which ends with the message at. It waits for room
// unless hurry reports true, and reports whether there was room.
func (b *inbox) add(at proto.Point, hurry func() bool, render func(*bytes.Buffer)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.waiting.Len() >= inboxSize && !b.broken {
		if hurry() {
			return false
		}
		b.changed.Wait()
	}
	if !b.broken {
		render(&b.waiting)
		b.last = at
		if b.waiting.Len() == 0 && !b.writing {
			b.printed = at
		}
		b.changed.Broadcast()
	}
	return true
}

// wake has a waiting add call hurry again.
func (b *inbox) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// full reports whether add would wait.
func (b *inbox) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() >= inboxSize && !b.broken
}

// empty reports whether everything is on STDOUT.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() == 0 && !b.writing
}

// close ends the queue: nothing more is added.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
}

// at returns the last message on STDOUT.
func (b *inbox) at() proto.Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.printed
}
