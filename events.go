//go:build unix

package hubbub

// This file is what clients send, and their joins and leaves, as the caller
// gets it: Receive takes the next batch of events, TryReceive does not wait for
// one, and Events goes through all of them.

import (
	"context"
	"iter"
	"os"
	"time"

	"hubbub.example/internal/engine/intake"
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
	Reason   string    // the same, for display
}

// Batch is a number of events, in order.
type Batch intake.Batch

func (b *Batch) intake() *intake.Batch { return (*intake.Batch)(b) }

// Plain returns every message of the batch with its separator, one after the other.
// It is good until Release.
func (b *Batch) Plain() []byte { return b.intake().Plain() }

// Release returns the batch to the hub. It must not be used afterwards.
func (b *Batch) Release() { b.intake().Release() }

// Events goes through the batch. An event's Data is good until the next.
func (b *Batch) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		in := b.intake()
		for i := range in.Records() {
			r := &in.Records()[i]
			e := Event{
				Kind: EventKind(r.Kind), Client: r.Client, Name: r.Name, Protocol: r.Protocol.String(),
				Addr: r.Addr.String(), Time: time.Unix(0, r.Time), Code: LeaveCode(r.Why.Kind), Reason: r.Why.Text,
			}
			if e.Kind != Message {
				if !yield(e) {
					return
				}
				continue
			}
			for e.Data = range in.Messages(r) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Receive returns the next batch of the inbox, when there is one. The error is
// io.EOF after the hub has closed and all was received, else ctx's.
func (h *Hub) Receive(ctx context.Context) (*Batch, error) {
	b, err := h.engine.Inbox().Receive(ctx)
	return (*Batch)(b), err
}

// TryReceive is like Receive but does not wait: it returns nil if there is nothing.
func (h *Hub) TryReceive() *Batch { return (*Batch)(h.engine.Inbox().TryReceive()) }

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

// DeliverTo writes every message from clients to f, with its separator, until
// the hub is closed and everything is written (nil), ctx is done, or f fails. It
// notices at once that a pipe's reader has gone, even with nothing to write. Use it
// instead of Receive and Events; joins and leaves are dropped. When ctx is done,
// the last message may have been written in part.
func (h *Hub) DeliverTo(ctx context.Context, f *os.File) error {
	return h.engine.DeliverTo(ctx, f)
}
