//go:build unix

package hubbub

import (
	"context"
	"os"
)

// Broadcast sends one message, without its separator, to all clients. It
// returns when the message is in the backlog, for which it may have to wait
// with SlowWait, as long as ctx allows. The error says why the message was not
// broadcast: it is too long or no whole record, ctx is done, or ErrClosed.
//
// A message that contains the separator of its framing reaches raw clients as
// several.
func (h *Hub) Broadcast(ctx context.Context, message []byte) error {
	return h.engine.Broadcast(ctx, message)
}

// BroadcastExcept is Broadcast to all clients but some. Unknown ids do no harm.
func (h *Hub) BroadcastExcept(ctx context.Context, message []byte, except ...uint64) error {
	return h.engine.BroadcastExcept(ctx, message, except...)
}

// BroadcastHere is BroadcastExcept for clients that are connected now, as in a
// chat room: a message that none of them receives is not kept for the next one
// to connect (ReplayUnheard), and Drain does not report it. After a message that
// is kept it is kept too, because messages stay in order.
func (h *Hub) BroadcastHere(ctx context.Context, message []byte, except ...uint64) error {
	return h.engine.BroadcastHere(ctx, message, except...)
}

// Relay broadcasts the messages of b in order, each to all clients but the one
// that sent it. Like Broadcast it may have to wait; meanwhile the inbox fills,
// and then the hub stops reading from clients. The batch stays the caller's.
// If some were not broadcast, the error is ctx's or ErrClosed.
func (h *Hub) Relay(ctx context.Context, b *Batch) error { return h.engine.Relay(ctx, b.intake()) }

// BroadcastFrom broadcasts every message that f delivers, and returns nil at
// its end. A last message without its separator counts. It returns early with
// ctx's error, with ErrClosed when the hub drains or closes, or with f's error.
//
// A loop reads a pipe, a terminal or a socket whenever it is readable; the
// calling goroutine reads a file. f stays in the mode it is in.
func (h *Hub) BroadcastFrom(ctx context.Context, f *os.File) error {
	return h.engine.BroadcastFrom(ctx, f)
}
