//go:build unix

package hubbub

// This file is the receiving side of a client that speaks WebSocket:
//
//	readFrames  takes what it sent apart (package codec does)
//	assemble    a message may come in fragments, and a frame in pieces
//	takeWhole   of hubbub.v1 it is JSON, which says what it is
//	enterWhole  it goes into the batch that the inbox gets, and stays whole there

import (
	"bytes"
	"fmt"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// readFrames takes what c sent. It is unmasked where it was read to, and what
// of it are messages is copied into the batch; where nobody wants those, there
// is no batch.
func (l *loop) readFrames(c *client) {
	var b *Batch
	if l.hub.inbox.want.messages() {
		if b = l.batchFor(c); b == nil {
			return
		}
	}
	p := l.scratch()
	n, err := c.link.Recv(p, l.Millis())
	if n > 0 {
		l.heardFrom(c, n)
		l.takeFrames(c, b, p[:n])
		l.overfull(l.hub.partial)
	}
	if c.reads() {
		l.afterRead(c, n, err)
	}
}

func (l *loop) takeFrames(c *client, b *Batch, p []byte) {
	var frames codec.Frames // one that holds nothing is not kept
	if x := c.extra; x != nil && x.frames != nil {
		frames, x.frames = *x.frames, nil
	}
	for c.reads() {
		part, rest, breach := frames.Next(p, l.longestFrom(c))
		if breach != nil {
			l.cut(c, ending.Breach(breach.Code, breach.Reason))
			return
		}
		switch part.Kind {
		case codec.Nothing:
			if !frames.Between() {
				kept := frames
				c.more().frames = &kept
			}
			c.tidy()
			return
		case codec.Data:
			l.assemble(c, b, part)
		case codec.Ping:
			a := l.asides(c)
			a.pong = codec.AppendPong(a.pong[:0], part.Data)
		case codec.Close:
			l.closedBy(c, part)
		}
		p = rest
	}
}

// longestFrom is how long what c sends in one WebSocket message may be.
func (l *loop) longestFrom(c *client) int {
	if c.protocol == codec.ProtocolV1 {
		const otherFields = 1 << 10
		return proto.JSONLimit(l.hub.longest, otherFields)
	}
	return l.hub.longest
}

// assemble puts the parts of a message together.
func (l *loop) assemble(c *client, b *Batch, part codec.Part) {
	if c.protocol == codec.ProtocolV1 && !part.Text {
		l.cut(c, ending.Because(proto.ReasonBreach, "hubbub.v1 has text frames only"))
		return
	}
	if part.First && part.Last {
		l.takeWhole(c, b, part.Data)
		return
	}
	x := c.more()
	x.partial = append(x.partial, part.Data...)
	x.begun.Grow(l.hub.partial, len(part.Data))
	if !part.Last {
		return
	}
	message := x.partial
	l.forget(c)
	l.takeWhole(c, b, message)
}

// takeWhole takes a WebSocket message.
func (l *loop) takeWhole(c *client, b *Batch, message []byte) {
	if c.protocol != codec.ProtocolV1 {
		l.enterWhole(c, b, message)
		return
	}
	m, breach := l.decoder.Decode(message)
	if breach != nil {
		l.cut(c, ending.Breach(breach.Code, breach.Reason))
		return
	}
	l.hear(c, b, m)
}

// hear takes what a client of hubbub.v1 says.
func (l *loop) hear(c *client, b *Batch, m proto.FromClient) {
	switch m.Type {
	case proto.End:
		c.more().linger.said = true
		if c.state == live {
			l.finish(c, l.feed(c).Head(), ending.Done())
		}
	case proto.Message:
		if c.extra != nil && c.extra.linger.said {
			l.cut(c, ending.Because(proto.ReasonBreach, "a message behind end"))
			return
		}
		l.hearNumbered(c, b, m)
	}
}

// hearNumbered takes a message of hubbub.v1, unless it was taken before.
func (l *loop) hearNumbered(c *client, b *Batch, m proto.FromClient) {
	if m.N == 0 {
		l.enterWhole(c, b, m.Data)
		return
	}
	x := c.more()
	if x.session == nil {
		x.session = &session{} // for as long as this connection
	}
	fresh, err := x.session.follows(m.N)
	if err != nil {
		l.cut(c, ending.Because(proto.ReasonBreach, "%v", err))
		return
	}
	if fresh {
		if !l.enterWhole(c, b, m.Data) {
			return
		}
		x.session.last = m.N
	}
	l.asides(c).ack = x.session.last
}

// enterWhole makes message a record, and reports whether it could be one. It
// may contain what separates messages elsewhere: then it stays one event. A
// separator at its end is not another, empty, message; and as from anybody, of
// a "\r\n" that is one the "\r" does not count.
func (l *loop) enterWhole(c *client, b *Batch, message []byte) bool {
	framing := l.hub.framing
	if len(message) > l.hub.longest {
		l.cut(c, ending.TooLong(l.hub.longest))
		return false
	}
	if !framing.Fits(message) {
		l.cut(c, ending.Breach(proto.ClosePolicyViolation, fmt.Sprintf("a message must be a record of %s bytes", l.hub.o.Framing)))
		return false
	}
	separator := framing.Separator()
	if b == nil || c.muted || len(message)+len(separator) == 0 {
		return true // nobody wants it, or it is nothing
	}
	message = bytes.TrimSuffix(message, separator)
	begin := len(b.data)
	b.data = append(append(b.data, message...), separator...)
	b.data = b.data[:begin+len(framing.Clean(b.data[begin:]))]
	r := l.said(c, begin, len(b.data))
	r.single = l.hub.o.Framing == FramingRaw || len(separator) > 0 && bytes.Contains(message, separator)
	l.count(c, 1)
	b.enter(r)
	return true
}

// closedBy is c that ends its WebSocket: it gets its own code back.
func (l *loop) closedBy(c *client, part codec.Part) {
	if c.state == broken {
		l.lost(c, ending.Lost(c.extra.broke))
		return
	}
	c.more().linger.reason = ending.Closed(part.Code)
	l.farewell(c)
}
