package join

import (
	"bytes"
	"fmt"
	"sync/atomic"

	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// An ackQueue takes messages from the outbox for a server that acknowledges them.
// Each has a number and is sent whole; tail moves with what is acknowledged, not
// with what is sent:
//
//	tail                next              head
//	│ sent, not         │ to be sent      │
//	│ acknowledged      │                 │
//	  message acked + 1   message sent + 1
//
// A connection that breaks sets next back to tail, and the numbers with it.
//
// A message that is too long for the server is left out and counted, once all
// messages before it are acknowledged: so the messages between tail and next have
// consecutive numbers.
type ackQueue struct {
	*outbox
	longest     int64 // message that the server takes
	acked, sent int64 // numbers
	everSent    int64 // the highest number, over all connections
	leftOut     int64 // messages
	skip        bool  // the rest of the message at next is left out too
	scratch     []byte

	// tooLong is called when the first message is left out.
	tooLong func(longest int64)

	// hungry is called when starving becomes true: STDIN, or a message to be left
	// out, waits for an acknowledgement.
	hungry   func()
	starving atomic.Bool
}

// outgoing is a message to be sent.
type outgoing struct {
	n    int64
	data []byte // without its separator; valid until the next call
	more bool   // another message follows at once
}

func (q *ackQueue) room() []byte { return q.outbox.room(q.grow, q.awaitReceipt) }

// begin starts a connection to a server that takes messages of up to longest bytes
// and has acknowledged all up to ack; 0 if it does not know us.
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

// acknowledged records that the server has all messages up to n. It reports whether
// that is everything and STDIN has ended.
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
			end = q.head // the last message has no separator
		}
		q.tail = end
	}
	return nil
}

// message waits for a whole message to send. It returns false if there will be none,
// or over reports the end of the connection.
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

// nextEnd returns where the message at next ends; -1 if its end has not come. The
// last message needs no separator.
func (q *ackQueue) nextEnd() int64 {
	switch {
	case q.ends > q.next:
		return q.endOf(q.next)
	case q.ended && q.frame <= 0:
		return q.head
	}
	return -1
}

// unsendable reports whether the message at next, which ends at end (-1: not yet), is
// too long, or is a record that stays incomplete.
func (q *ackQueue) unsendable(end int64) bool {
	if q.frame > 0 && end < 0 {
		return int64(q.frame) > q.longest || q.ended
	}
	if end >= 0 {
		return int64(len(q.content(q.next, end))) > q.longest
	}
	return q.head-q.next > q.longest+1 // one more: a "\r"
}

// leaveOut drops the message at next: what there is of it now, and the rest as it
// comes.
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

// hand copies the message at next: the server could acknowledge it, which frees its
// room, while it is still being sent.
func (q *ackQueue) hand(end int64) outgoing {
	data := q.content(q.next, end)
	q.next = end
	q.sent++
	q.everSent = max(q.everSent, q.sent)
	q.changed.Broadcast() // whoever waits for room may have to wait for a receipt
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

// endOf returns the offset after the message that begins at from; -1 if its end has
// not come.
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

// awaitReceipt waits for a change. It calls hungry if only a receipt can change
// something.
func (q *ackQueue) awaitReceipt() {
	if q.tail < q.next && !q.down && q.hungry != nil {
		q.starving.Store(true)
		q.hungry()
	}
	q.changed.Wait()
	q.starving.Store(false)
}

// grow enlarges the ring if a message that the server would take fills it. Only the
// filler may call it, since it moves the bytes.
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
