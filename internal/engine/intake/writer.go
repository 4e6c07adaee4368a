//go:build unix

package intake

import (
	"bytes"
	"time"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// Writer is one loop's end of the inbox. Only its loop uses it.
type Writer struct {
	inbox    *Inbox
	batch    *Batch   // what this turn reads; nil if none is open
	deferred []Record // joins and leaves that found no batch
	posts    []*Piece // pieces of posts that wait for a batch
	now      int64    // Unix nanoseconds
	messages int64    // ever entered

	decoder proto.Decoder
	pong    []byte
}

// NewWriter makes one of the inbox's writers.
func (in *Inbox) NewWriter() *Writer { return &Writer{inbox: in} }

// SetTime sets the time of records.
func (w *Writer) SetTime(now time.Time) { w.now = now.UnixNano() }

// Messages returns how many messages were entered.
func (w *Writer) Messages() int64 { return w.messages }

// Batch returns the batch that this turn fills, after all deferred joins and leaves, or
// nil while the caller is behind.
func (w *Writer) Batch() *Batch {
	w.EnterDeferred()
	if len(w.deferred) > 0 {
		return nil
	}
	return w.open()
}

func (w *Writer) open() *Batch {
	if w.batch != nil && w.batch.full() {
		w.Deliver()
	}
	if w.batch == nil {
		w.batch = w.inbox.take()
	}
	return w.batch
}

// Deliver hands over what this turn has added.
func (w *Writer) Deliver() {
	b := w.batch
	if b == nil || len(b.records) == 0 {
		return
	}
	w.batch = nil
	w.inbox.handOver(w, b)
}

// Undelivered reports whether the batch was added to after the last Deliver.
func (w *Writer) Undelivered() bool { return w.batch != nil && len(w.batch.records) > 0 }

// Presence enters a join or leave, or defers it if no batch is free. The deferred ones
// are bounded: meanwhile no connection is accepted and no post begins, and each client
// can leave only once.
func (w *Writer) Presence(kind Kind, s *Sender, why ending.Reason) {
	if kind == Leave {
		s.standing |= left
	}
	if !w.inbox.Presence {
		return
	}
	r := w.record(kind, s)
	r.Why = why
	if len(w.deferred) == 0 {
		if b := w.open(); b != nil {
			b.records = append(b.records, r)
			return
		}
	}
	w.inbox.deferred.Add(1)
	w.deferred = append(w.deferred, r)
}

// Deferred reports whether joins or leaves of this writer wait for a batch.
func (w *Writer) Deferred() bool { return len(w.deferred) > 0 }

// EnterDeferred moves joins and leaves into the batch, in order.
func (w *Writer) EnterDeferred() {
	for len(w.deferred) > 0 {
		b := w.open()
		if b == nil {
			return
		}
		n := min(len(w.deferred), batchEvents-len(b.records))
		b.records = append(b.records, w.deferred[:n]...)
		w.deferred = w.deferred[n:]
		if w.inbox.deferred.Add(-int64(n)) == 0 {
			w.inbox.wake() // to accept again
		}
	}
	w.deferred = nil
}

// record returns a record of s, as of now.
func (w *Writer) record(kind Kind, s *Sender) Record {
	return Record{Kind: kind, Client: s.id, Name: s.Name(), Protocol: s.Protocol(), Addr: s.addr, Time: w.now}
}

// enterPlain enters messages of s that are in the batch from begin on, with their
// separators.
func (w *Writer) enterPlain(s *Sender, begin int, messages []byte) {
	b := w.batch
	if s.Muted() {
		messages = nil
	}
	b.data = b.data[:begin+len(messages)]
	if len(messages) == 0 {
		return
	}
	r := w.record(Message, s)
	r.from, r.to = begin, len(b.data)
	b.records = append(b.records, r)
	w.count(s, w.inbox.Framing.Count(messages))
}

// enterOne copies and enters a message of s. A separator at its end is not another,
// empty message, and a "\r" before that is dropped.
func (w *Writer) enterOne(s *Sender, message []byte) {
	in, b := w.inbox, w.batch
	separator := in.Framing.Separator()
	if !in.Messages || s.Muted() || len(message)+len(separator) == 0 {
		return // nobody wants it, or it is empty
	}
	message = bytes.TrimSuffix(message, separator)
	begin := len(b.data)
	b.data = append(append(b.data, message...), separator...)
	b.data = b.data[:begin+len(in.Framing.Clean(b.data[begin:]))]
	r := w.record(Message, s)
	r.from, r.to = begin, len(b.data)
	r.single = in.single(message)
	w.count(s, 1)
	b.enter(r)
}

// count counts messages of s.
func (w *Writer) count(s *Sender, n int) {
	s.messages += uint32(n)
	w.messages += int64(n)
}
