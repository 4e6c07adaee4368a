//go:build unix

package intake

import (
	"iter"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/sock"
)

const (
	batchBytes  = 4 * ReadSize
	batchEvents = 1024
)

// Kind is the kind of a Record.
type Kind uint8

// The kinds of records, as the public API has them.
const (
	Message Kind = iota
	Join
	Leave
)

// Record is one join, one leave, or all the whole messages of one read.
type Record struct {
	Kind     Kind
	Protocol codec.Protocol
	single   bool // one message, which may contain separators; else separators divide it
	from, to int  // of messages: offsets in the batch's data
	Client   uint64
	Name     string
	Addr     sock.Addr
	Time     int64 // Unix nanoseconds
	Why      ending.Reason
}

// Batch has records in order.
type Batch struct {
	inbox   *Inbox
	data    []byte
	records []Record
}

// Records returns the records, valid until Release.
func (b *Batch) Records() []Record { return b.records }

// Plain returns all messages of the batch, each with its separator, valid until
// Release.
func (b *Batch) Plain() []byte { return b.data }

// Messages yields the messages of a record, without their separators.
func (b *Batch) Messages(r *Record) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		begin, separator := r.from, len(b.inbox.Framing.Separator())
		for end := range b.Ends(r) {
			if !yield(b.data[begin : end-separator]) {
				return
			}
			begin = end
		}
	}
}

// Ends yields the offsets in Plain at which the messages of a record end, separators
// included.
func (b *Batch) Ends(r *Record) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := r.from; at < r.to; {
			if r.single {
				at = r.to
			} else {
				at += b.inbox.Framing.First(b.data[at:r.to])
			}
			if !yield(at) {
				return
			}
		}
	}
}

// Release gives the batch back. It must not be used any more.
func (b *Batch) Release() {
	b.data, b.records = b.data[:0], b.records[:0]
	if cap(b.data) > batchBytes { // grown for one long message
		b.data = nil
	}
	b.inbox.putBack(b)
}

// enter adds r. Consecutive messages of one client share a record, unless one is
// single.
func (b *Batch) enter(r Record) {
	if n := len(b.records); n > 0 && !r.single {
		last := &b.records[n-1]
		if last.Kind == Message && !last.single && last.Client == r.Client && last.to == r.from {
			last.to = r.to
			return
		}
	}
	b.records = append(b.records, r)
}

// full reports whether the batch must be handed over before more is added: it needs
// room for the beginning of a message and a read after that.
func (b *Batch) full() bool {
	return len(b.data) > batchBytes-2*ReadSize || len(b.records) >= batchEvents
}
