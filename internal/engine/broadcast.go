//go:build unix

package engine

// This file broadcasts a message:
//
//	Broadcast  any goroutine: the backlog publishes it once there is room, which
//	           is the one sequencing point, and wakes the loops
//	flush      a shard: sends what lies between a client's cursor and the head

import (
	"context"
	"fmt"
	"slices"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// Broadcast publishes one message, without its separator, for all clients.
func (h *Engine) Broadcast(ctx context.Context, message []byte) error {
	return h.broadcast(ctx, message, nil, backlog.Paced)
}

// BroadcastExcept is Broadcast to all but some clients.
func (h *Engine) BroadcastExcept(ctx context.Context, message []byte, except ...uint64) error {
	h.keepRegistry()
	return h.broadcast(ctx, message, slices.Sorted(slices.Values(except)), backlog.Paced)
}

// BroadcastHere is BroadcastExcept for those who are connected now: the message
// is not kept for others.
func (h *Engine) BroadcastHere(ctx context.Context, message []byte, except ...uint64) error {
	h.keepRegistry()
	return h.broadcast(ctx, message, slices.Sorted(slices.Values(except)), backlog.Here)
}

func (h *Engine) broadcast(ctx context.Context, message []byte, except []uint64, how backlog.How) error {
	if err := h.check(message); err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	p := h.separated(message)
	if len(p) == 0 {
		return nil // nothing, in a framing that has no word for it
	}
	var of []feed.Run
	if except != nil {
		of = []feed.Run{{Messages: 1, Of: &feed.Origin{Not: except}}}
	}
	return h.backlog.PublishWait(ctx, backlog.Messages{Bytes: p, Ends: []int{len(p)}, Runs: of}, how)
}

// separated returns message with its separator.
func (h *Engine) separated(message []byte) []byte {
	separator := h.framing.Separator()
	p := make([]byte, 0, len(message)+len(separator))
	return append(append(p, message...), separator...)
}

// check returns why a message cannot be sent.
func (h *Engine) check(message []byte) error {
	if len(message) > h.longest {
		return fmt.Errorf("a message of %d bytes is longer than the longest allowed, %d", len(message), h.longest)
	}
	if !h.framing.Fits(message) {
		return fmt.Errorf("a message of %d bytes is no record of %s bytes", len(message), h.o.Framing)
	}
	return nil
}
