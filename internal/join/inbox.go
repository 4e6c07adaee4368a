package join

import (
	"bytes"
	"sync"

	"hubbub.example/internal/proto"
)

// An inbox is where whole messages wait for STDOUT, up to a bound, so that
// receiving goes on while STDOUT is slow: what a server acknowledges comes
// between its messages. It outlives connections, since what is in it has been
// received for good.
//
// One goroutine writes. One at a time adds.
type inbox struct {
	out *printer

	idle func()      // is called when all there was is on STDOUT
	lost func(error) // is called when STDOUT is

	mu      sync.Mutex
	changed sync.Cond

	waiting bytes.Buffer
	last    proto.Point // the message that waiting ends with
	batch   proto.Point // the one that what is being written ends with
	printed proto.Point // the last that is on STDOUT
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

// add has what render appends printed, which ends with the message at. It
// waits for room unless it must hurry, and reports whether there was.
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

// wake makes who waits for room ask again whether it must hurry.
func (b *inbox) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// full reports whether adding would wait.
func (b *inbox) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() >= inboxSize && !b.broken
}

// empty reports whether all is on STDOUT.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len() == 0 && !b.writing
}

// close says that nothing more is added.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
}

// at returns up to where messages are on STDOUT.
func (b *inbox) at() proto.Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.printed
}
