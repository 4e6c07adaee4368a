//go:build unix

package delivery

// This file has control messages, which are sent to one client between two messages
// of its feed, before whatever the client is behind with. Outdated ones are not sent.

import (
	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// Control is what waits to be sent between two messages. Only the newest pong and
// the newest acknowledgement count.
type Control struct {
	Notices   []byte // whole messages in the client's encoding: a hello, what it has missed
	Pong      []byte // a frame
	Ack       uint64 // 0: nothing to acknowledge
	Heartbeat bool
}

// control is Control with the part that is being sent.
type control struct {
	Control
	begun []byte
}

// pack makes one piece of all that waits, unless one is being sent.
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

// sent records that n bytes were sent, and reports whether that was all.
func (x *control) sent(n int) bool {
	if x.begun = x.begun[n:]; len(x.begun) == 0 {
		x.begun = nil
	}
	return x.begun == nil
}

func (x *control) empty() bool {
	return x.begun == nil && x.Notices == nil && x.Pong == nil && x.Ack == 0 && !x.Heartbeat
}

// closing returns the last bytes for a WebSocket: the rest of the current message and
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

// AppendClosing appends the close frame of a WebSocket; in hubbub.v1 the message with
// the reason comes before it, unless the client is done.
func AppendClosing(dst []byte, e backlog.Encoding, why ending.Reason) []byte {
	if e == backlog.V1 && why.Kind != proto.ReasonDone {
		dst = codec.AppendClosing(dst, why.Kind.String(), why.Text)
	}
	return codec.AppendClose(dst, why.CloseCode(), why.Text)
}
