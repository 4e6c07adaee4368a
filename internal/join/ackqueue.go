package join

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// receipts is what an outbox knows beside, where a server acknowledges
// messages. Each has a number then, and is sent whole; tail moves with what is
// acknowledged, not with what is sent:
//
//	tail                next              head
//	│ sent, not         │ to be sent      │
//	│ acknowledged      │                 │
//	  message acked + 1   message sent + 1
//
// A connection that breaks sets next back to tail, and the numbers with it.
//
// A message that the server does not take for its length is left out, and
// counted: once all before it is acknowledged, so that what lies from tail to
// next are always messages with numbers in a row.
type receipts struct {
	longest     int64 // that the server takes; 0: it gives no receipts
	acked, sent int64 // numbers
	everSent    int64 // the highest number there was
	leftOut     int64 // messages
	scratch     []byte

	// tooLong is called when the first message is left out.
	tooLong func(longest int64)

	// hungry is called when starving becomes true: STDIN, or what comes after
	// a message to be left out, waits for the server to acknowledge something.
	hungry   func()
	starving atomic.Bool
}

// outgoing is a message to be sent.
type outgoing struct {
	n    int64
	data []byte // without its separator; good until the next
	more bool   // another is there already, and will be sent
}

// begin readies for a connection to a server that takes messages so long and
// has those up to ack, or that does not know us, which is 0.
func (b *outbox) begin(longest int, ack int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.longest = int64(longest)
	if err := b.receipt(ack, b.everSent); err != nil {
		return err
	}
	b.next, b.sent = b.tail, b.acked
	return nil
}

// acknowledged says that the server has all up to n. It reports whether it
// has all there is, and nothing more will come.
func (b *outbox) acknowledged(n int64) (all bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = b.receipt(n, b.sent)
	b.changed.Broadcast()
	return b.ended && b.tail == b.head, err
}

func (b *outbox) receipt(n, sent int64) error {
	if n > sent {
		return breach("it acknowledges message %d, but %d were sent", n, sent)
	}
	for ; b.acked < n; b.acked++ {
		end := b.endOf(b.tail)
		if end < 0 {
			end = b.head // the last, without its separator
		}
		b.tail = end
	}
	return nil
}

// message waits for a whole message to send; false, when nothing more will
// come or over says that the connection has ended.
func (b *outbox) message(over func() bool) (outgoing, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		b.skipTorn()
		if over() || b.next == b.head && b.ended {
			return outgoing{}, false
		}
		end := b.nextEnd()
		switch {
		case b.next == b.head:
			b.changed.Wait()
		case b.unsendable(end):
			if b.tail < b.next {
				b.awaitReceipt()
			} else {
				b.leaveOut()
			}
		case end >= 0:
			return b.hand(end), true
		default:
			b.changed.Wait()
		}
	}
}

// nextEnd is where the message at next ends; -1: not yet. The last needs no
// separator, but to be whole.
func (b *outbox) nextEnd() int64 {
	switch {
	case b.ends > b.next:
		return b.endOf(b.next)
	case b.ended && b.frame <= 0:
		return b.head
	}
	return -1
}

// unsendable reports whether the message at next, which ends there, or not yet
// (-1), is too long, or is a record that will not become whole.
func (b *outbox) unsendable(end int64) bool {
	if b.frame > 0 && end < 0 {
		return int64(b.frame) > b.longest || b.ended
	}
	if end >= 0 {
		return int64(len(b.content(b.next, end))) > b.longest
	}
	return b.head-b.next > b.longest+1 // what is over may be a "\r"
}

// leaveOut drops what there is of the message at next, and has the rest
// dropped as it comes.
func (b *outbox) leaveOut() {
	if b.leftOut++; b.leftOut == 1 && b.tooLong != nil {
		b.tooLong(b.longest)
	}
	b.skip = true
	b.skipTorn()
}

// hand copies the message at next, up to its end: the server could acknowledge
// it before it is sent.
func (b *outbox) hand(end int64) outgoing {
	data := b.content(b.next, end)
	b.next = end
	b.sent++
	b.everSent = max(b.everSent, b.sent)
	b.changed.Broadcast() // who waits for room may wait for a receipt now
	return outgoing{b.sent, data, b.ends > end && b.endOf(end)-end <= b.longest}
}

// content copies a message, without its separator. A line's "\r\n" loses its
// "\r", as it does when it is sent raw.
func (b *outbox) content(from, to int64) []byte {
	first, second := b.pieces(from, to)
	b.scratch = append(append(b.scratch[:0], first...), second...)
	p, ended := bytes.CutSuffix(b.scratch, b.frame.Separator())
	if ended && b.frame == framing.Lines {
		p = bytes.TrimSuffix(p, []byte("\r"))
	}
	return p
}

// pieces is what lies between two positions.
func (b *outbox) pieces(from, to int64) (first, second []byte) {
	at := from % b.size()
	n := min(to-from, b.size()-at)
	return b.ring[at : at+n], b.ring[:to-from-n]
}

// endOf is just past the message that begins at from; -1 if that has no end yet.
func (b *outbox) endOf(from int64) int64 {
	first, second := b.pieces(from, b.head)
	if n := b.frame.FirstEnd(first, from); n > 0 {
		return from + int64(n)
	}
	if n := b.frame.FirstEnd(second, from+int64(len(first))); n > 0 {
		return from + int64(len(first)) + int64(n)
	}
	return -1
}

// awaitReceipt waits for a change, and lets it be known if that must be a
// receipt.
func (b *outbox) awaitReceipt() {
	if b.tail < b.next && !b.down && b.hungry != nil {
		b.starving.Store(true)
		b.hungry()
	}
	b.changed.Wait()
	b.starving.Store(false)
}

// grow makes the ring larger if one message fills it that the server would
// take. Only the filler may call it: what is being read into the ring must not
// be left behind.
func (b *outbox) grow() bool {
	most := b.longest + 2 // "\r\n"
	if b.next > b.tail || b.ends > b.tail || b.size() >= most {
		return false
	}
	first, second := b.pieces(b.tail, b.head)
	ring := make([]byte, min(2*b.size(), most))
	for i, p := int64(0), append(bytes.Clone(first), second...); i < int64(len(p)); {
		i += int64(copy(ring[(b.tail+i)%int64(len(ring)):], p[i:]))
	}
	b.ring = ring
	return true
}

// complaint is an error if not all of STDIN could be sent.
func (b *outbox) complaint() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.leftOut == 0:
		return nil
	case b.frame > 0 && int64(b.frame) <= b.longest:
		return fmt.Errorf("did not send the end of STDIN: it is shorter than a record of %d bytes", b.frame)
	}
	return fmt.Errorf("did not send %s of STDIN: the server takes %d bytes at most", quantity.Count(b.leftOut, "message"), b.longest)
}
