//go:build unix

package hubbub

// This file is the way of what clients send, and of joins and leaves, to the
// caller:
//
//	open     a loop     the batch it fills this turn, or none while the caller is behind
//	deliver  a loop     hands the batch over at the end of its reading
//	Receive  the caller takes the next one
//	Release  the caller gives it back; loops that had none are woken
//
// There is a fixed number of batches, so nothing here grows: when all are
// full or with the caller, loops stop reading and TCP pushes back.

import (
	"context"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/sock"
)

const (
	// readSize is how much one read asks for, and a client's read budget in
	// one turn.
	readSize = 64 << 10

	batchBytes   = 4 * readSize
	batchEvents  = 1024
	batchesALoop = 4
)

// EventKind says what happened.
type EventKind uint8

const (
	Message EventKind = iota // a client sent Data
	Join                     // a client is there
	Leave                    // a client is gone, for Reason
)

func (k EventKind) String() string {
	switch k {
	case Message:
		return "message"
	case Join:
		return "join"
	}
	return "leave"
}

// Event is one thing that happened with a client.
type Event struct {
	Kind     EventKind
	Client   uint64    // the client's id, from 1, never used twice
	Name     string    // what it wants to be called, if it said so
	Protocol string    // "raw", "text", "sse", "websocket", "hubbub.v1" or "post"
	Addr     string    // "192.0.2.7:5123", "unix"
	Time     time.Time // when the hub saw it
	Data     []byte    // the message without its separator, which a WebSocket's may contain all the same; good until the next event
	Code     LeaveCode // why it left
	Reason   string    // the same, for people
}

// Batch is a number of events, in order.
type Batch struct {
	inbox   *inbox
	data    []byte
	records []record
}

// record is one join, one leave, or all the whole messages of one read.
type record struct {
	kind     EventKind
	protocol codec.Protocol
	why      LeaveCode
	single   bool // one message, which may contain separators; else they tell many apart
	from, to int  // messages: where in data
	client   uint64
	name     string
	addr     sock.Addr
	time     int64 // Unix nanoseconds
	reason   string
}

// Plain is every message of the batch with its separator, one after the other.
// It is good until Release.
func (b *Batch) Plain() []byte { return b.data }

// Events goes through the batch. An event's Data is good until the next.
func (b *Batch) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for i := range b.records {
			if !b.records[i].each(b.data, b.inbox.framing, yield) {
				return
			}
		}
	}
}

func (r *record) each(data []byte, framing framing.Framing, yield func(Event) bool) bool {
	e := Event{
		Kind: r.kind, Client: r.client, Name: r.name, Protocol: r.protocol.String(),
		Addr: r.addr.String(), Time: time.Unix(0, r.time), Code: r.why, Reason: r.reason,
	}
	if r.kind != Message {
		return yield(e)
	}
	if r.single {
		e.Data = data[r.from : r.to-len(framing.Separator())]
		return yield(e)
	}
	for rest := data[r.from:r.to]; len(rest) > 0; {
		e.Data, rest = framing.Next(rest)
		if !yield(e) {
			return false
		}
	}
	return true
}

// Release gives the batch back to the hub. It must not be used any more.
func (b *Batch) Release() {
	b.data, b.records = b.data[:0], b.records[:0]
	if cap(b.data) > batchBytes { // grown for one long message
		b.data = nil
	}
	in := b.inbox
	in.mu.Lock()
	in.free = append(in.free, b)
	starved := in.starved
	in.starved = false
	in.mu.Unlock()
	if starved {
		in.wake()
	}
}

// enter adds r. Messages of one client that are told apart by their separators
// share a record.
func (b *Batch) enter(r record) {
	if n := len(b.records); n > 0 && !r.single {
		last := &b.records[n-1]
		if last.kind == Message && !last.single && last.client == r.client && last.to == r.from {
			last.to = r.to
			return
		}
	}
	b.records = append(b.records, r)
}

// full says that the batch takes no more before it is delivered: there must
// be room for the beginning of a message and a read behind it.
func (b *Batch) full() bool {
	return len(b.data) > batchBytes-2*readSize || len(b.records) >= batchEvents
}

// inbox is the queue between the loops and the caller.
type inbox struct {
	framing framing.Framing
	want    Inbox
	filled  chan *Batch
	drained atomic.Bool // by the first loop, for DeliverTo
	wake    func()

	mu      sync.Mutex
	free    []*Batch // the last one given back goes out first: its bytes are still in the cache
	starved bool     // a loop found none
}

func newInbox(o Options, framing framing.Framing, wake func()) *inbox {
	n := o.Loops * batchesALoop
	in := &inbox{framing: framing, want: o.Inbox, filled: make(chan *Batch, n), wake: wake}
	for range n {
		in.free = append(in.free, &Batch{inbox: in})
	}
	return in
}

// take gives an empty batch, or nil while the caller is behind; then the
// loops are woken when there is one.
func (in *inbox) take() *Batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.free) - 1
	if n < 0 {
		in.starved = true
		return nil
	}
	b := in.free[n]
	in.free = in.free[:n]
	if b.data == nil {
		b.data = make([]byte, 0, batchBytes)
	}
	return b
}

// Receive gives the next batch of the inbox, when there is one. The error is
// io.EOF after the hub has closed and all was received, else ctx's.
func (h *Hub) Receive(ctx context.Context) (*Batch, error) {
	select {
	case b := <-h.inbox.filled:
		return b, nil
	default:
	}
	select {
	case b := <-h.inbox.filled:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.closed:
	}
	select {
	case b := <-h.inbox.filled:
		return b, nil
	default:
		return nil, io.EOF
	}
}

// TryReceive is Receive that does not wait: nil says that nothing is there now.
func (h *Hub) TryReceive() *Batch {
	select {
	case b := <-h.inbox.filled:
		return b
	default:
		return nil
	}
}

// Events returns everything that comes, until the hub is closed or ctx is done.
// An event's Data is valid until the next event.
func (h *Hub) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			b, err := h.Receive(ctx)
			if err != nil || !b.yieldAll(yield) {
				return
			}
		}
	}
}

func (b *Batch) yieldAll(yield func(Event) bool) bool {
	defer b.Release()
	for e := range b.Events() {
		if !yield(e) {
			return false
		}
	}
	return true
}

// open is the batch that this turn fills; nil while the caller is behind.
func (l *loop) open() *Batch {
	if l.batch != nil && l.batch.full() {
		l.deliver()
	}
	if l.batch == nil {
		l.batch = l.hub.inbox.take()
	}
	return l.batch
}

// deliver hands over what this turn brought.
func (l *loop) deliver() {
	b := l.batch
	if b == nil || len(b.records) == 0 {
		return
	}
	l.batch = nil
	l.hub.inbox.filled <- b // never waits: it holds as many as there are
	if first := l.hub.loops[0]; l != first && l.hub.inbox.drained.Load() {
		first.Wake()
	}
}

// undelivered says that the batch was added to since it was to be delivered.
func (l *loop) undelivered() bool { return l.batch != nil && len(l.batch.records) > 0 }

// note enters a join or leave. Where no batch is free it goes to the loop's
// own list, which is bounded: accepting pauses while it is not empty, no post
// comes, and clients that are there can leave only once.
func (l *loop) note(kind EventKind, c *client, reason ending.Reason) {
	if !l.hub.inbox.want.presence() {
		return
	}
	r := record{kind: kind, client: c.id, name: c.name(), protocol: c.protocol, addr: c.addr, time: l.Now().UnixNano(), why: LeaveCode(reason.Kind), reason: reason.Text}
	if len(l.late) == 0 {
		if b := l.open(); b != nil {
			b.records = append(b.records, r)
			return
		}
	}
	l.hub.late.Add(1)
	l.late = append(l.late, r)
}

// enterLate moves joins and leaves into the batch, in order.
func (l *loop) enterLate() {
	for len(l.late) > 0 {
		b := l.open()
		if b == nil {
			return
		}
		n := min(len(l.late), batchEvents-len(b.records))
		b.records = append(b.records, l.late[:n]...)
		l.late = l.late[n:]
		if l.hub.late.Add(-int64(n)) == 0 {
			l.hub.loops[0].Wake() // to accept again
		}
	}
	l.late = nil
}
