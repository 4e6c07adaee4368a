package join

// A rawQueue gives a raw connection the outbox's bytes. What it keeps of those
// sent is the message being sent, from its beginning:
//
//	tail           next           head
//	│ sent, of a   │ to be sent   │
//	│ message not  │              │
//	│ yet complete │              │
//
// A message longer than the ring cannot be kept: what has been sent of it goes
// (torn), and if the connection breaks inside it, the rest goes too.
type rawQueue struct {
	*outbox
	torn bool // the beginning of the message at tail is gone
	skip bool // and so shall be its rest
}

func (q *rawQueue) room() []byte { return q.outbox.room(q.giveUpLong, q.changed.Wait) }

// giveUpLong lets go of the beginning of a message that fills the whole ring.
func (q *rawQueue) giveUpLong() bool {
	if q.ends > q.tail || q.next == q.tail {
		return false
	}
	q.tail, q.torn = q.next, true
	return true
}

// take waits for something to send and returns it, as far as it is in one
// piece; nothing, when nothing more will come or over says that the
// connection has ended.
func (q *rawQueue) take(over func() bool) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		q.skipTorn()
		if over() || q.next == q.head && q.ended {
			return nil
		}
		if q.next < q.head {
			return q.toSend()
		}
		q.changed.Wait()
	}
}

// skipTorn drops the rest of a message whose beginning went to a connection
// that broke.
func (q *rawQueue) skipTorn() {
	if q.skip && q.dropRest() {
		q.skip, q.torn = false, false
	}
}

// took says that the connection has taken n bytes more.
func (q *rawQueue) took(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := q.frame.LastEnd(q.toSend()[:n], q.next); i > 0 {
		q.tail, q.torn = q.next+int64(i), false
	}
	q.next += int64(n)
	if q.torn {
		q.tail = q.next
	}
	q.changed.Broadcast()
}

// rewind makes ready for the next connection, once nobody takes any more. It
// reports whether a message is lost with its beginning.
func (q *rawQueue) rewind() (lost bool) {
	q.disconnected()
	q.mu.Lock()
	defer q.mu.Unlock()
	lost = q.torn && !q.skip
	q.skip = q.torn
	return lost
}
