package join

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// An ackQueue gives a connection to a server that acknowledges messages the
// outbox's messages. Each has a number and is sent whole; tail moves with what
// is acknowledged, not with what is sent:
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
type ackQueue struct {
	*outbox
	longest     int64 // that the server takes
	acked, sent int64 // numbers
	everSent    int64 // the highest number there was
	leftOut     int64 // messages
	skip        bool  // the rest of the message at next is left out too
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

func (q *ackQueue) room() []byte { return q.outbox.room(q.grow, q.awaitReceipt) }

// begin readies for a connection to a server that takes messages so long and
// has those up to ack, or that does not know us, which is 0.
func (q *ackQueue) begin(longest int, ack int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.longest = int64(longest)
	if err := q.receipt(ack, q.everSent); err != nil {
		return err
	}
	q.next, q.sent = q.tail, q.acked
	return nil
}

// acknowledged reports whether the server has all up to n. It reports whether it
// has all there is, and nothing more will come.
func (q *ackQueue) acknowledged(n int64) (all bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err = q.receipt(n, q.sent)
	q.changed.Broadcast()
	return q.ended && q.tail == q.head, err
}

func (q *ackQueue) receipt(n, sent int64) error {
	if n > sent {
		return breach("it acknowledges message %d, but %d were sent", n, sent)
	}
	for ; q.acked < n; q.acked++ {
		end := q.endOf(q.tail)
		if end < 0 {
			end = q.head // the last, without its separator
		}
		q.tail = end
	}
	return nil
}

// message waits for a whole message to send; false, when nothing more will
// come or over says that the connection has ended.
func (q *ackQueue) message(over func() bool) (outgoing, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		q.skipRest()
		if over() || q.next == q.head && q.ended {
			return outgoing{}, false
		}
		end := q.nextEnd()
		switch {
		case q.next == q.head:
			q.changed.Wait()
		case q.unsendable(end):
			if q.tail < q.next {
				q.awaitReceipt()
			} else {
				q.leaveOut()
			}
		case end >= 0:
			return q.hand(end), true
		default:
			q.changed.Wait()
		}
	}
}

// nextEnd returns where the message at next ends; -1: not yet. The last needs no
// separator, but to be whole.
func (q *ackQueue) nextEnd() int64 {
	switch {
	case q.ends > q.next:
		return q.endOf(q.next)
	case q.ended && q.frame <= 0:
		return q.head
	}
	return -1
}

// unsendable reports whether the message at next, which ends there, or not yet
// (-1), is too long, or is a record that will not become whole.
func (q *ackQueue) unsendable(end int64) bool {
	if q.frame > 0 && end < 0 {
		return int64(q.frame) > q.longest || q.ended
	}
	if end >= 0 {
		return int64(len(q.content(q.next, end))) > q.longest
	}
	return q.head-q.next > q.longest+1 // what is over may be a "\r"
}

// leaveOut drops what there is of the message at next, and has the rest
// dropped as it comes.
func (q *ackQueue) leaveOut() {
	if q.leftOut++; q.leftOut == 1 && q.tooLong != nil {
		q.tooLong(q.longest)
	}
	q.skip = true
	q.skipRest()
}

func (q *ackQueue) skipRest() {
	if q.skip {
		q.skip = !q.dropRest()
	}
}

// hand copies the message at next, up to its end: the server could acknowledge
// it before it is sent.
func (q *ackQueue) hand(end int64) outgoing {
	data := q.content(q.next, end)
	q.next = end
	q.sent++
	q.everSent = max(q.everSent, q.sent)
	q.changed.Broadcast() // who waits for room may wait for a receipt now
	return outgoing{q.sent, data, q.ends > end && q.endOf(end)-end <= q.longest}
}

// content copies a message, without its separator. A line's "\r\n" loses its
// "\r", as it does when it is sent raw.
func (q *ackQueue) content(from, to int64) []byte {
	first, second := q.pieces(from, to)
	q.scratch = append(append(q.scratch[:0], first...), second...)
	p, ended := bytes.CutSuffix(q.scratch, q.frame.Separator())
	if ended && q.frame == framing.Lines {
		p = bytes.TrimSuffix(p, []byte("\r"))
	}
	return p
}

// endOf is just past the message that begins at from; -1 if that has no end yet.
func (q *ackQueue) endOf(from int64) int64 {
	first, second := q.pieces(from, q.head)
	if n := q.frame.FirstEnd(first, from); n > 0 {
		return from + int64(n)
	}
	if n := q.frame.FirstEnd(second, from+int64(len(first))); n > 0 {
		return from + int64(len(first)) + int64(n)
	}
	return -1
}

// awaitReceipt waits for a change, and lets it be known if that must be a
// receipt.
func (q *ackQueue) awaitReceipt() {
	if q.tail < q.next && !q.down && q.hungry != nil {
		q.starving.Store(true)
		q.hungry()
	}
	q.changed.Wait()
	q.starving.Store(false)
}

// grow makes the ring larger if one message fills it that the server would
// take. Only the filler may call it: what is being read into the ring must not
// be left behind.
func (q *ackQueue) grow() bool {
	most := q.longest + 2 // "\r\n"
	if q.next > q.tail || q.ends > q.tail || q.size() >= most {
		return false
	}
	q.resize(min(2*q.size(), most))
	return true
}

// complaint returns an error if not all of STDIN could be sent.
func (q *ackQueue) complaint() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.leftOut == 0:
		return nil
	case q.frame > 0 && int64(q.frame) <= q.longest:
		return fmt.Errorf("did not send the end of STDIN: it is shorter than a record of %d bytes", q.frame)
	}
	return fmt.Errorf("did not send %s of STDIN: the server takes %d bytes at most", quantity.Count(q.leftOut, "message"), q.longest)
}
