//go:build unix

package intake

// This file has the input of raw clients. A read goes straight into the batch:
//
//	Space       returns where to read to: after an incomplete message
//	Took        leaves whole messages there and holds the rest
//	EndOfInput  takes what is left when the input has ended

import "hubbub.example/internal/engine/ending"

// Space returns where to read to. Batch of w has returned a batch.
func (s *Sender) Space(w *Writer) []byte {
	begin := len(w.batch.data) + s.inPlace()
	return w.batch.data[begin : begin+ReadSize]
}

// inPlace returns how much of the incomplete message goes before the next read, so
// that a message that the read completes is contiguous. A long one is joined
// elsewhere.
func (s *Sender) inPlace() int {
	if s.rare == nil || len(s.rare.partial) >= ReadSize {
		return 0
	}
	return len(s.rare.partial)
}

// Took enters the whole messages among the n bytes that were read to Space, and holds
// the beginning of the next one.
func (s *Sender) Took(w *Writer, n int) Outcome {
	b, held := w.batch, s.inPlace()
	begin := len(b.data)
	fresh := b.data[begin+held : begin+held+n]
	x := s.rare
	if x == nil || x.partial == nil {
		return s.enter(w, begin, fresh)
	}
	if !w.inbox.Framing.Completes(len(x.partial), fresh) {
		return s.hold(w, fresh)
	}
	if held > 0 {
		copy(b.data[begin:begin+held], x.partial)
		b.data = b.data[:begin+held+n]
	} else {
		x.partial = append(x.partial, fresh...)
		b.data = append(b.data[:begin], x.partial...)
	}
	s.Forget()
	return s.enter(w, begin, b.data[begin:])
}

// EndOfInput ends the input of a raw client. An incomplete message counts as a message,
// except where every message has the same size.
func (s *Sender) EndOfInput(w *Writer) Outcome {
	x := s.rare
	if x == nil || x.partial == nil {
		return Outcome{}
	}
	separator := w.inbox.Framing.Separator()
	if separator == nil {
		n := len(x.partial)
		s.Forget()
		return Outcome{Dropped: n}
	}
	b := w.batch // the read that came to the end had one
	begin := len(b.data)
	b.data = append(append(b.data, x.partial...), separator...)
	s.Forget()
	return s.enter(w, begin, b.data[begin:])
}

// enter enters the whole messages of p, which is in the batch from begin on, and holds
// the rest.
func (s *Sender) enter(w *Writer, begin int, p []byte) Outcome {
	in := w.inbox
	whole := in.Framing.Whole(p)
	messages, rest := in.Framing.Clean(p[:whole]), p[whole:]
	good := in.fitting(messages)
	w.enterPlain(s, begin, messages[:good])
	if good < len(messages) {
		return Outcome{End: ending.TooLong(in.Longest)}
	}
	if len(rest) == 0 {
		return Outcome{}
	}
	return s.hold(w, rest)
}

// hold keeps p, which begins or continues a message, until the rest comes.
func (s *Sender) hold(w *Writer, p []byte) Outcome {
	x := s.more()
	x.partial = append(x.partial, p...)
	x.held.Grow(w.inbox.Beginnings, len(p))
	if len(x.partial) > w.inbox.Longest+1 {
		return Outcome{End: ending.TooLong(w.inbox.Longest)}
	}
	return Outcome{}
}
