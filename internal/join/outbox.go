package join

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"hubbub.example/internal/framing"
)

// An outbox is STDIN's way to the server: a ring that STDIN fills and the
// connection of the moment takes from. It keeps more than what is yet to be
// sent: the message being sent, from its beginning.
//
//	tail           next                head            tail + size
//	│ sent, of a   │ to be sent        │ room for STDIN │
//	│ message not  │                   │                │
//	│ yet complete │                   │                │
//
// The three only grow; position p is at ring[p % size]. A connection that
// breaks sets next back to tail. With the ring full STDIN is not read, so
// whoever writes it waits: nothing is dropped.
//
// A message longer than the ring cannot be kept: what has been sent of it goes
// (torn), and if the connection breaks inside it, the rest goes too.
//
// That is for a raw connection, which takes bytes. A server that acknowledges
// messages gets them one by one, and what it has yet to acknowledge is kept as
// well (receipts.go).
//
// One goroutine fills, one at a time takes. The bytes between next and head
// are the taker's to read, those from head on the filler's to write, both
// without the lock.
type outbox struct {
	ring  []byte
	frame framing.Framing
	full  func() // is called when STDIN must wait while there is no connection

	mu      sync.Mutex
	changed sync.Cond

	tail, next, head int64
	ends             int64 // just past the last byte of the last complete message
	torn             bool  // the beginning of the message at tail is gone
	skip             bool  // and so shall be its rest

	ended bool          // nothing more comes from STDIN
	over  chan struct{} // closed then
	err   error
	down  bool // there is no connection

	receipts // of a server that gives them
}

const ringSize = 1 << 20

func newOutbox(frame framing.Framing, full func()) *outbox {
	b := &outbox{ring: make([]byte, max(ringSize, int(frame))), frame: frame, full: full, over: make(chan struct{})}
	b.changed.L = &b.mu
	return b
}

// fill reads r to its end, a piece whenever there is room. At the end it
// completes a last message that lacks its separator, if it shall.
func (b *outbox) fill(r io.Reader, complete bool) {
	if r == nil {
		b.end(nil)
		return
	}
	for {
		p := b.room()
		if len(p) == 0 {
			return
		}
		n, err := r.Read(p)
		if !b.filled(n) {
			return
		}
		if err != nil {
			if sep := b.frame.Separator(); sep != nil && complete && b.unfinished() {
				b.add(sep[0])
			}
			b.end(err)
			return
		}
	}
}

// room waits until there is room in the ring and returns it, as far as it is
// in one piece; nothing, when nothing more is wanted.
func (b *outbox) room() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	told := false
	for b.head-b.tail == b.size() && !b.ended {
		if b.grow() {
			break
		}
		if b.down && !told {
			told = true
			b.full()
		}
		b.awaitReceipt()
	}
	if b.ended {
		return nil
	}
	at := b.head % b.size()
	return b.ring[at:min(b.size(), at+b.tail+b.size()-b.head)]
}

// filled says that STDIN gave n bytes more, and is told whether to go on.
func (b *outbox) filled(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended { // meanwhile: what is acknowledged as the last message shall not grow
		return false
	}
	at := b.head % b.size()
	if i := b.frame.LastEnd(b.ring[at:at+int64(n)], b.head); i > 0 {
		b.ends = b.head + int64(i)
	}
	b.head += int64(n)
	b.giveUpLong()
	b.changed.Broadcast()
	return !b.ended
}

// add adds one byte of our own.
func (b *outbox) add(c byte) {
	if p := b.room(); len(p) > 0 {
		p[0] = c
		b.filled(1)
	}
}

func (b *outbox) unfinished() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.head != b.ends
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

// take waits for something to send and returns it, as far as it is in one
// piece; nothing, when nothing more will come or over says that the
// connection has ended.
func (b *outbox) take(over func() bool) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		b.skipTorn()
		if over() || b.next == b.head && b.ended {
			return nil
		}
		if b.next < b.head {
			return b.toSend()
		}
		b.changed.Wait()
	}
}

// toSend is what lies between next and head, as far as it is in one piece.
func (b *outbox) toSend() []byte {
	at := b.next % b.size()
	return b.ring[at:min(b.size(), at+b.head-b.next)]
}

// took says that the connection has taken n bytes more.
func (b *outbox) took(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.frame.LastEnd(b.toSend()[:n], b.next); i > 0 {
		b.tail, b.torn = b.next+int64(i), false
	}
	b.next += int64(n)
	if b.torn {
		b.tail = b.next
	}
	b.giveUpLong()
	b.changed.Broadcast()
}

// giveUpLong lets go of the beginning of a message that fills the whole ring.
func (b *outbox) giveUpLong() {
	if b.longest == 0 && b.head-b.tail == b.size() && b.ends <= b.tail && b.next > b.tail {
		b.tail, b.torn = b.next, true
	}
}

// skipTorn drops the rest of a message whose beginning went to a connection
// that broke.
func (b *outbox) skipTorn() {
	for b.skip && b.next < b.head {
		p := b.toSend()
		n := b.frame.FirstEnd(p, b.next)
		if n == 0 {
			n = len(p)
		} else {
			b.skip, b.torn = false, false
		}
		b.next += int64(n)
		b.tail = b.next
		b.changed.Broadcast()
	}
}

// rewind makes ready for the next connection, once nobody takes any more. It
// reports whether a message is lost with its beginning.
func (b *outbox) rewind() (lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost = b.torn && !b.skip
	b.next, b.skip, b.down = b.tail, b.torn || b.longest > 0 && b.skip, true
	b.changed.Broadcast() // whoever waits for room may say so now
	return lost
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

func (b *outbox) size() int64 { return int64(len(b.ring)) }
