//go:build unix

package intake

// This file has the input of WebSockets:
//
//	TookFrames  parses what was read, with package codec
//	assemble    joins fragments of messages and parts of frames
//	takeWhole   takes a message: in hubbub.v1 it is JSON and may have a number

import (
	"fmt"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// TookFrames takes p, which was read from the client, and unmasks it in place. If the
// caller wants messages, w has a batch.
func (s *Sender) TookFrames(w *Writer, p []byte) (out Outcome) {
	var frames codec.Frames // one that holds nothing is not kept
	if x := s.rare; x != nil && x.frames != nil {
		frames, x.frames = *x.frames, nil
	}
	for out.End == (ending.Reason{}) {
		part, rest, breach := frames.Next(p, s.longestFrame(w))
		if breach != nil {
			out.End = ending.Breach(breach.Code, breach.Reason)
			if breach.Code == proto.CloseTooBig { // it names the limit of the JSON
				out.End = ending.TooLong(w.inbox.Longest)
			}
			return out
		}
		switch part.Kind {
		case codec.Nothing:
			if !frames.Between() {
				kept := frames
				s.more().frames = &kept
			}
			s.tidy()
			return out
		case codec.Data:
			s.assemble(w, part, &out)
		case codec.Ping:
			w.pong = codec.AppendPong(w.pong[:0], part.Data)
			out.Pong = w.pong
		case codec.Close:
			out.End = ending.Closed(part.Code)
		}
		p = rest
	}
	return out
}

// longestFrame returns how long one WebSocket message may be.
func (s *Sender) longestFrame(w *Writer) int {
	if s.Protocol() == codec.ProtocolV1 {
		const otherFields = 1 << 10
		return proto.JSONLimit(w.inbox.Longest, otherFields)
	}
	return w.inbox.Longest
}

// assemble joins the parts of a message.
func (s *Sender) assemble(w *Writer, part codec.Part, out *Outcome) {
	if s.Protocol() == codec.ProtocolV1 && !part.Text {
		out.End = ending.Breach(proto.CloseProtocolError, "hubbub.v1 has text frames only")
		return
	}
	if part.First && part.Last {
		s.takeWhole(w, part.Data, out)
		return
	}
	x := s.more()
	x.partial = append(x.partial, part.Data...)
	x.held.Grow(w.inbox.Beginnings, len(part.Data))
	if part.Last {
		message := x.partial
		s.Forget()
		s.takeWhole(w, message, out)
	}
}

// takeWhole takes a WebSocket message.
func (s *Sender) takeWhole(w *Writer, message []byte, out *Outcome) {
	if s.Protocol() != codec.ProtocolV1 {
		out.End = s.take(w, message)
		return
	}
	m, breach := w.decoder.Decode(message)
	switch {
	case breach != nil:
		out.End = ending.Breach(breach.Code, breach.Reason)
	case m.Type == proto.End:
		s.more().ended = true
		out.Finish = true
	case m.Type != proto.Message:
	case s.rare != nil && s.rare.ended:
		out.End = ending.Breach(proto.CloseProtocolError, "a message behind end")
	case m.N == 0:
		out.End = s.take(w, m.Data)
	default:
		s.takeNumbered(w, m, out)
	}
}

// takeNumbered takes a message of hubbub.v1, unless it was taken before.
func (s *Sender) takeNumbered(w *Writer, m proto.FromClient, out *Outcome) {
	x := s.more()
	if x.session == nil {
		x.session = &Session{} // of this connection alone
	}
	fresh, err := x.session.follows(m.N)
	if err != nil {
		out.End = ending.Breach(proto.CloseProtocolError, err.Error())
		return
	}
	if fresh {
		if out.End = s.take(w, m.Data); out.End != (ending.Reason{}) {
			return
		}
		x.session.last = m.N
	}
	out.Ack = x.session.last
}

// take enters message, or returns why it ends the client. A message that contains a
// separator stays one event.
func (s *Sender) take(w *Writer, message []byte) ending.Reason {
	in := w.inbox
	if len(message) > in.Longest {
		return ending.TooLong(in.Longest)
	}
	if !in.Framing.Fits(message) {
		return ending.Breach(proto.ClosePolicyViolation, fmt.Sprintf("a message must be a record of %d bytes", in.Longest))
	}
	w.enterOne(s, message)
	return ending.Reason{}
}
