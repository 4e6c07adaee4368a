//go:build unix

package delivery

// This file is what a client is sent alone, between two messages of its feed. It
// overtakes whatever the client is behind with. There is little of it at a time:
// what is outdated is not sent.

import (
	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// Control is what waits to be sent between two messages. Of a pong and of an
// acknowledgement only the newest counts.
type Control struct {
	Notices   []byte // whole, in the client's encoding: a hello, what it has missed
	Pong      []byte // a frame
	Ack       uint64 // 0: nothing to acknowledge
	Heartbeat bool
}

// control is that, and what of it is being sent and must be to its end.
type control struct {
	Control
	begun []byte
}

// pack puts all that waits into one piece, unless one is being sent.
func (x *control) pack(e backlog.Encoding) {
	if x.begun != nil {
		return
	}
	p := append(x.Notices, x.Pong...)
	if x.Ack > 0 {
		p = codec.AppendAck(p, x.Ack)
	}
	if x.Heartbeat && e == backlog.SSE {
		p = codec.AppendHeartbeatComment(p)
	} else if x.Heartbeat {
		p = codec.AppendHeartbeat(p)
	}
	x.begun, x.Control = p, Control{}
}

// sent enters that n bytes were sent, and says whether that was all.
func (x *control) sent(n int) bool {
	if x.begun = x.begun[n:]; len(x.begun) == 0 {
		x.begun = nil
	}
	return x.begun == nil
}

func (x *control) empty() bool {
	return x.begun == nil && x.Notices == nil && x.Pong == nil && x.Ack == 0 && !x.Heartbeat
}

// closing returns what a WebSocket is sent last: the rest of what it stands in, and
// the close frame.
func (m *more) closing(c *Cursor, v *backlog.View, why ending.Reason) []byte {
	var p []byte
	switch f := v.Feed(c.reads); {
	case m.tail != nil:
		p = append(p, m.tail...)
	case m.control != nil && m.control.begun != nil:
		p = append(p, m.control.begun...)
	default:
		if end := f.EndOf(c.pos); end > c.pos {
			p = f.Read(c.pos, end)
		}
	}
	if m.control != nil && m.control.Ack > 0 {
		p = codec.AppendAck(p, m.control.Ack) // or the client would send it again
	}
	return AppendClosing(p, c.own, why)
}

// AppendClosing appends the close frame of a WebSocket, in hubbub.v1 after the
// reason. That a client is done, its close code says.
func AppendClosing(dst []byte, e backlog.Encoding, why ending.Reason) []byte {
	if e == backlog.V1 && why.Kind != proto.ReasonDone {
		dst = codec.AppendClosing(dst, why.Kind.String(), why.Text)
	}
	return codec.AppendClose(dst, why.CloseCode(), why.Text)
}
