//go:build unix

package engine

// This file reads from clients:
//
//	read        reads one client, a bounded amount per turn
//	receive     passes the input to its Sender (package intake)
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

// receiving has what a shard has to read.
type receiving struct {
	owner
	reading queue // clients that may have input that no event reports
	until   int64 // this turn reads until stats.bytesIn has this value
	in      *intake.Writer
	waste   []byte
}

// read reads from c. The poller reports an edge only once, so c is read again
// until its link reports that there is no more.
func (r *receiving) read(c *client) {
	switch {
	case c.phase == lingering:
		r.shard.discard(c)
	case r.shard.overfull(r.engine.inbox.Beginnings):
		r.readSoon(c)
	case c.unchecked && !r.checkFirstLine(c):
	default:
		r.receive(c)
	}
}

// receive reads once: a raw client's bytes straight into the batch, frames into
// the scratch buffer, where they are parsed. What nobody wants is discarded.
func (r *receiving) receive(c *client) {
	framed := c.Protocol().Framed()
	raw := c.Protocol() == codec.ProtocolRaw && r.engine.inbox.Messages
	if (raw || framed && r.engine.inbox.Messages) && r.in.Batch() == nil {
		r.readSoon(c) // the caller is behind
		return
	}
	space := r.scratch()
	if raw {
		space = c.Space(r.in)
	}
	n, err := c.link.Recv(space, r.shard.Millis())
	if n > 0 {
		r.received(c, n)
		switch {
		case raw:
			r.take(c, c.Took(r.in, n))
		case framed:
			r.take(c, c.TookFrames(r.in, space[:n]))
		}
	}
	if c.phase.receives() {
		r.afterRead(c, n, err)
	}
}

// take does what the input of c requires.
func (r *receiving) take(c *client, out intake.Outcome) {
	if out.Pong != nil {
		x := r.shard.control(c)
		x.Pong = append(x.Pong[:0], out.Pong...)
	}
	if out.Ack > 0 {
		r.shard.control(c).Ack = out.Ack
	}
	if out.Dropped > 0 {
		r.warnOfRecord(c.ID(), out.Dropped)
	}
	if out.Finish && c.phase == open {
		r.shard.finish(c, ending.Done())
	}
	switch {
	case out.End == ending.Reason{}:
		r.shard.overfull(r.engine.inbox.Beginnings)
	case out.End.Cut():
		r.shard.cut(c, out.End)
	default:
		r.shard.closedByPeer(c, out.End)
	}
}

// endedInside groups clients whose last bytes are no whole record.
var endedInside = logger.Kind{Of: "ended inside a record, which is dropped"}

// warnOfRecord warns of bytes at the end of input that are no whole record.
func (r *receiving) warnOfRecord(id uint64, dropped int) {
	r.engine.log.Group(endedInside, 0, "client %d: its last %d bytes are no whole record and are dropped", id, dropped)
}

// received counts n bytes from c.
func (r *receiving) received(c *client, n int) {
	c.spoke = true
	r.shard.stats.bytesIn += int64(n)
	if c.phase == flushing || c.phase == halfBroken {
		r.shard.receivedOf(c, n)
	}
}

// afterRead decides whether there may be more.
func (r *receiving) afterRead(c *client, n int, err error) {
	switch {
	case err == nil && (c.link.Readable() || c.phase == halfBroken && n > 0):
		r.readSoon(c)
	case c.phase == halfBroken:
		r.shard.disconnected(c, c.end.Why)
	case err == nil:
		if c.phase == flushing {
			r.shard.receivedOf(c, math.MaxInt)
		}
	case errors.Is(err, io.EOF):
		r.endOfInput(c)
	default:
		r.shard.disconnected(c, ending.Lost(err))
	}
}

// readSoon has c read in the next turn.
func (r *receiving) readSoon(c *client) {
	c.link.MayRead()
	r.reading.add(c)
}

// scratch returns a buffer for discarded bytes.
func (r *receiving) scratch() []byte {
	if r.waste == nil {
		r.waste = make([]byte, intake.ReadSize)
	}
	return r.waste
}

// endOfInput handles the end of what c sends. A client that has sent something is
// served to the end and closed; one that has not is a watcher, and stays. (Over
// TCP a watcher looks like a closed connection until something is sent to it, or
// the keepalive probes it. A Unix socket reports the difference.)
func (r *receiving) endOfInput(c *client) {
	if c.phase == lingering {
		r.shard.closeLater(c) // both sides have ended
		return
	}
	if c.link.Sent() > 0 {
		r.shard.credit(c)
	}
	if c.Protocol().Framed() {
		r.shard.disconnected(c, ending.Lost(ending.ErrAbrupt))
		return
	}
	r.take(c, c.EndOfInput(r.in))
	if c.spoke && c.phase == open {
		r.shard.finish(c, ending.Done())
	}
}

// checkFirstLine reports whether the input of c may be read: not before it is
// certain that its first line is no HTTP request.
func (r *receiving) checkFirstLine(c *client) bool {
	p := r.scratch()
	n, err := c.link.Peek(p)
	switch {
	case errors.Is(err, sock.Again):
		return true // receive handles it
	case errors.Is(err, io.EOF):
		c.unchecked = false
		return true
	case err != nil: // reported only once
		r.shard.disconnected(c, ending.Lost(err))
		return false
	}
	switch accept.FirstLine(p[:n], c.link.PeerShut() || c.phase == halfBroken, r.engine.framing.Separator() == nil) {
	case codec.No:
		c.unchecked = false
	case codec.Perhaps:
		c.link.UsedUp()
	case codec.Yes:
		r.shard.mark.Forget(&c.seat) // it wanted something else, and may come again
		r.shard.cut(c, ending.Because(proto.ReasonBreach, "it opens with an HTTP request, and is taken for a raw client"))
	}
	return !c.unchecked
}

// readReady reads from clients that had more than an earlier turn read, or that
// became readable while the inbox was full.
func (r *receiving) readReady() {
	if len(r.reading.clients) == 0 || !r.canRead() {
		return
	}
	r.until = r.shard.stats.bytesIn + turnBytes
	n, now := 0, len(r.reading.clients) // clients that have still more come behind these
	for ; n < now && r.shard.stats.bytesIn < r.until; n++ {
		if c := r.reading.at(n); c.link.Readable() && c.phase < closed {
			r.read(c)
			r.shard.checkHangUp(c)
		}
	}
	r.reading.drop(n)
}

// canRead reports whether there is room for input.
func (r *receiving) canRead() bool {
	if r.shard.overfull(r.engine.inbox.Beginnings) {
		return false
	}
	return !r.engine.inbox.Messages || r.in.Batch() != nil
}

// queue has clients that wait for their turn, each of them once.
type queue struct {
	as      link.Queue
	clients []*client
}

func (q *queue) add(c *client) {
	if c.link.Enter(q.as) {
		q.clients = append(q.clients, c)
	}
}

// at returns client n, which may then enter again behind the others.
func (q *queue) at(n int) *client {
	c := q.clients[n]
	c.link.Leave(q.as)
	return c
}

// drop forgets the first n.
func (q *queue) drop(n int) { q.clients = slices.Delete(q.clients, 0, n) }
