//go:build unix

package engine

// This file reads from clients:
//
//	read        reads one client, at most its budget per turn
//	receive     passes what it sent to its Sender (package intake)
//	take        acts on the result
//	afterRead   decides whether to read again
//	endOfInput  handles the end of file, after all input before it

import (
	"errors"
	"io"
	"math"
	"slices"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

// read takes what c sent. An edge is told only once, so c is read again until
// its link says that there is no more.
func (l *shard) read(c *client) {
	switch {
	case c.phase == lingering:
		l.discard(c)
	case l.overfull(l.engine.inbox.Beginnings):
		l.readSoon(c)
	case c.unchecked && !l.checkFirstLine(c):
	default:
		l.receive(c)
	}
}

// receive reads once. A raw client's bytes go straight into the batch; frames
// are taken apart where they were read to; what nobody wants is discarded.
func (l *shard) receive(c *client) {
	framed := c.Protocol().Framed()
	raw := c.Protocol() == codec.ProtocolRaw && l.engine.inbox.Messages
	if (raw || framed && l.engine.inbox.Messages) && l.in.Batch() == nil {
		l.readSoon(c) // the caller is behind
		return
	}
	space := l.scratch()
	if raw {
		space = c.Space(l.in)
	}
	n, err := c.link.Recv(space, l.Millis())
	if n > 0 {
		l.received(c, n)
		switch {
		case raw:
			l.take(c, c.Took(l.in, n))
		case framed:
			l.take(c, c.TookFrames(l.in, space[:n]))
		}
	}
	if c.phase.receives() {
		l.afterRead(c, n, err)
	}
}

// take does what c's input asks for.
func (l *shard) take(c *client, out intake.Outcome) {
	if out.Pong != nil {
		x := l.control(c)
		x.Pong = append(x.Pong[:0], out.Pong...)
	}
	if out.Ack > 0 {
		l.control(c).Ack = out.Ack
	}
	if out.Dropped > 0 {
		l.warnOfRecord(c.ID(), out.Dropped)
	}
	if out.Finish && c.phase == open {
		l.finish(c, ending.Done())
	}
	switch {
	case out.End == ending.Reason{}:
		l.overfull(l.engine.inbox.Beginnings)
	case out.End.Cut():
		l.cut(c, out.End)
	default:
		l.closedByPeer(c, out.End)
	}
}

// endedInside are clients whose last bytes are no whole record.
var endedInside = logger.Kind{Of: "ended inside a record, which is dropped"}

// warnOfRecord warns of bytes at the end of input that are no whole record.
func (l *shard) warnOfRecord(id uint64, dropped int) {
	l.engine.log.Group(endedInside, 0, "client %d: its last %d bytes are no whole record and are dropped", id, dropped)
}

// received counts n bytes from c.
func (l *shard) received(c *client, n int) {
	c.spoke = true
	l.stats.bytesIn += int64(n)
	if c.phase == flushing || c.phase == halfBroken {
		l.receivedOf(c, n)
	}
}

// afterRead decides whether there may be more.
func (l *shard) afterRead(c *client, n int, err error) {
	switch {
	case err == nil && (c.link.Readable() || c.phase == halfBroken && n > 0):
		l.readSoon(c)
	case c.phase == halfBroken:
		l.disconnected(c, c.end.Why)
	case err == nil:
		if c.phase == flushing {
			l.receivedOf(c, math.MaxInt)
		}
	case errors.Is(err, io.EOF):
		l.endOfInput(c)
	default:
		l.disconnected(c, ending.Lost(err))
	}
}

// readSoon has c be read in the next turn.
func (l *shard) readSoon(c *client) {
	c.link.MayRead()
	l.reading.add(c)
}

// scratch is a buffer for discarded bytes.
func (l *shard) scratch() []byte {
	if l.waste == nil {
		l.waste = make([]byte, intake.ReadSize)
	}
	return l.waste
}

// endOfInput is the end of what c sends. A client that had something to say is
// served to the end and closed; one that never spoke is a watcher, and stays.
// (Over TCP it cannot be told from one that is gone, until it is sent
// something, or the keepalive asks; a Unix socket tells.)
func (l *shard) endOfInput(c *client) {
	if c.phase == lingering {
		l.closeLater(c) // all is said
		return
	}
	if c.link.Sent() > 0 {
		l.credit(c)
	}
	if c.Protocol().Framed() {
		l.disconnected(c, ending.Lost(ending.ErrAbrupt))
		return
	}
	l.take(c, c.EndOfInput(l.in))
	if c.spoke && c.phase == open {
		l.finish(c, ending.Done())
	}
}

// checkFirstLine reports whether what c sends may be read: not before it is
// known that its first line is no HTTP request.
func (l *shard) checkFirstLine(c *client) bool {
	p := l.scratch()
	n, err := c.link.Peek(p)
	switch {
	case errors.Is(err, sock.Again):
		return true // to find that again
	case errors.Is(err, io.EOF):
		c.unchecked = false
		return true // likewise
	case err != nil: // which is told only once
		l.disconnected(c, ending.Lost(err))
		return false
	}
	switch accept.FirstLine(p[:n], c.link.PeerShut() || c.phase == halfBroken, l.engine.framing.Separator() == nil) {
	case codec.No:
		c.unchecked = false
	case codec.Perhaps:
		c.link.UsedUp()
	case codec.Yes:
		l.mark.Forget(&c.seat) // it wants something else than it was sent, and may come again
		l.cut(c, ending.Because(proto.ReasonBreach, "it opens with an HTTP request, and is taken for a raw client"))
	}
	return !c.unchecked
}

// readReady reads from those that had more than their budget in an earlier
// turn, or came while the inbox was full.
func (l *shard) readReady() {
	if len(l.reading.clients) == 0 || !l.canRead() {
		return
	}
	l.until = l.stats.bytesIn + turnBytes
	n, now := 0, len(l.reading.clients) // those who have more again stand behind these
	for ; n < now && l.stats.bytesIn < l.until; n++ {
		if c := l.reading.at(n); c.link.Readable() && c.phase < closed {
			l.read(c)
			l.checkHangUp(c)
		}
	}
	l.reading.drop(n)
}

// canRead says that there is room for what is read.
func (l *shard) canRead() bool {
	if l.overfull(l.engine.inbox.Beginnings) {
		return false
	}
	return !l.engine.inbox.Messages || l.in.Batch() != nil
}

// queue is clients that wait for their turn, each of them once.
type queue struct {
	as      link.Queue
	clients []*client
}

func (q *queue) add(c *client) {
	if c.link.Enter(q.as) {
		q.clients = append(q.clients, c)
	}
}

// at takes the turn of client n, which may come back behind the others.
func (q *queue) at(n int) *client {
	c := q.clients[n]
	c.link.Leave(q.as)
	return c
}

// drop forgets the first n.
func (q *queue) drop(n int) { q.clients = slices.Delete(q.clients, 0, n) }
