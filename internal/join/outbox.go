package join

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"hubbub.example/internal/framing"
)

// An outbox is STDIN's way to the server: a ring that STDIN fills and the
// connection of the moment takes from, as the server wants it: bytes from a
// rawQueue, or messages from an ackQueue. It keeps more than what is yet to be
// sent: also what the next connection will need if this one breaks.
//
//	tail           next                head            tail + size
//	│ sent, but    │ to be sent        │ room for STDIN │
//	│ still kept   │                   │                │
//
// A connection that breaks sets next back to tail. With the ring full STDIN is
// not read, so whoever writes it waits: nothing is dropped.
//
// One goroutine fills, one at a time takes. The bytes between next and head
// are the taker's to read, those from head on the filler's to write, both
// without the lock.
type outbox struct {
	ring
	frame framing.Framing
	full  func() // is called when STDIN must wait while there is no connection

	mu      sync.Mutex
	changed sync.Cond

	next int64
	ends int64 // just past the last byte of the last complete message

	ended bool          // nothing more comes from STDIN
	over  chan struct{} // closed then
	err   error
	down  bool // there is no connection
}

const ringSize = 1 << 20

func newOutbox(frame framing.Framing, full func()) *outbox {
	b := &outbox{ring: ring{data: make([]byte, max(ringSize, int(frame)))}, frame: frame, full: full, over: make(chan struct{})}
	b.changed.L = &b.mu
	return b
}

// fill reads r to its end, a piece whenever the queue finds room. At the end
// it completes a last message that lacks its separator, if it shall.
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
		if sep := b.frame.Separator(); sep != nil && complete && b.head != b.ends { // which nobody else writes
			if p := room(); len(p) > 0 {
				p[0] = sep[0]
				b.filled(1)
			}
		}
		b.end(err)
		return
	}
}

// room waits until there is room in the ring and returns it, as far as it is
// in one piece; nothing, when nothing more is wanted. The queue may find room
// in a full ring, and says how to wait for some.
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

// filled reports whether STDIN gave n bytes more, and is told whether to go on.
func (b *outbox) filled(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended { // meanwhile: what is acknowledged as the last message shall not grow
		return false
	}
	if i := b.frame.LastEnd(b.free()[:n], b.head); i > 0 {
		b.ends = b.head + int64(i)
	}
	b.head += int64(n)
	b.changed.Broadcast()
	return true
}

// end says that nothing more comes from STDIN, or is wanted. What the ring
// holds is still sent.
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

// toSend returns what lies between next and head, as far as it is in one piece.
func (b *outbox) toSend() []byte {
	p, _ := b.pieces(b.next, b.head)
	return p
}

// dropRest drops what there is of the message at next, up to its end, and
// reports whether that has come.
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

// disconnected makes ready for the next connection, once nobody takes any more.
func (b *outbox) disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next, b.down = b.tail, true
	b.changed.Broadcast() // whoever waits for room may say so now
}

// connected says that somebody takes again.
func (b *outbox) connected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
}

// wake makes a taker ask again whether its connection has ended.
func (b *outbox) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed.Broadcast()
}

// stdin is how far STDIN is.
type stdin struct {
	ended  bool
	bytes  int64 // that it gave
	unsent int64 // of these
	kept   int64 // not sent, or not known to have arrived
	err    error
}

func (b *outbox) stdin() stdin {
	b.mu.Lock()
	defer b.mu.Unlock()
	return stdin{b.ended, b.head, b.head - b.next, b.head - b.tail, b.err}
}
