package join

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"hubbub.example/internal/framing"
)

// An outbox is a ring that STDIN fills, and from which the connection takes bytes
// (rawQueue) or messages (ackQueue). It also keeps what the next connection needs if
// this one breaks.
//
//	tail           next                head            tail + size
//	│ sent, but    │ to be sent        │ room for STDIN │
//	│ still kept   │                   │                │
//
// A connection that breaks sets next back to tail. While the ring is full, STDIN is
// not read: nothing is dropped.
//
// One goroutine fills, and one at a time takes. The taker reads the bytes between next
// and head, and the filler writes those from head on, both without the lock.
type outbox struct {
	ring
	frame framing.Framing
	full  func() // called when STDIN must wait while there is no connection

	mu      sync.Mutex
	changed sync.Cond

	next int64
	ends int64 // just past the last byte of the last complete message

	ended bool          // STDIN has ended
	over  chan struct{} // closed when it has
	err   error
	down  bool // there is no connection
}

const ringSize = 1 << 20

func newOutbox(frame framing.Framing, full func()) *outbox {
	b := &outbox{ring: ring{data: make([]byte, max(ringSize, int(frame)))}, frame: frame, full: full, over: make(chan struct{})}
	b.changed.L = &b.mu
	return b
}

// fill reads r to its end, a piece whenever there is room. With complete it adds the
// separator that the last message lacks.
func (b *outbox) fill(r io.Reader, room func() []byte, complete bool) {
	if r == nil {
		b.end(nil)
		return
	}
	for {
		p := room()
		if len(p) == 0 {
			return
		}
		n, err := r.Read(p)
		if !b.filled(n) {
			return
		}
		if err == nil {
			continue
		}
		if sep := b.frame.Separator(); sep != nil && complete && b.head != b.ends { // only fill writes these
			if p := room(); len(p) > 0 {
				p[0] = sep[0]
				b.filled(1)
			}
		}
		b.end(err)
		return
	}
}

// room waits for room in the ring and returns its contiguous part; nothing, when no
// more input is wanted. The queue may find room in a full ring, and knows how to wait.
func (b *outbox) room(find func() bool, wait func()) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for told := false; b.isFull() && !b.ended && !find(); wait() {
		if b.down && !told {
			told = true
			b.full()
		}
	}
	if b.ended {
		return nil
	}
	return b.free()
}

// filled records n more bytes of STDIN, and reports whether to continue.
func (b *outbox) filled(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended { // meanwhile: the last message must not grow after it is acknowledged
		return false
	}
	if i := b.frame.LastEnd(b.free()[:n], b.head); i > 0 {
		b.ends = b.head + int64(i)
	}
	b.head += int64(n)
	b.changed.Broadcast()
	return true
}

// end ends the input. What is in the ring is still sent.
func (b *outbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = fmt.Errorf("read STDIN: %w", nameless(err))
	}
	b.ended = true
	close(b.over)
	b.changed.Broadcast()
}

// toSend returns the contiguous part of what is between next and head.
func (b *outbox) toSend() []byte {
	p, _ := b.pieces(b.next, b.head)
	return p
}

// dropRest drops the message at next up to its end, and reports whether that has come.
func (b *outbox) dropRest() (ended bool) {
	for b.next < b.head && !ended {
		p := b.toSend()
		n := b.frame.FirstEnd(p, b.next)
		if ended = n > 0; !ended {
			n = len(p)
		}
		b.next += int64(n)
		b.tail = b.next
		b.changed.Broadcast()
	}
	return ended
}

// disconnected prepares for the next connection, after the taker has ended.
func (b *outbox) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next, b.down = b.tail, true
	b.changed.Broadcast() // fill may call full now
}

// connected notes that there is a taker again.
func (b *outbox) connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
}

// wake has a waiting taker check whether its connection has ended.
func (b *outbox) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// stdin counts the bytes of STDIN.
type stdin struct {
	ended  bool
	bytes  int64 // read
	unsent int64 // read and not sent
	kept   int64 // read and not known to have arrived
	err    error
}

func (b *outbox) stdin() stdin {
	b.mu.Lock()
	defer b.mu.Unlock()
	return stdin{b.ended, b.head, b.head - b.next, b.head - b.tail, b.err}
}
