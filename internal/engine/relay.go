//go:build unix

package engine

// This file relays messages between clients:
//
//	Relay    broadcasts their messages, each to all but its sender
//	exclude  tells a client's cursor of a message that it must skip, before the
//	         message is published
//
// The index of each feed has the excluded clients.

import (
	"context"
	"sync"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/pump"
	"hubbub.example/internal/feed"
)

// Relay broadcasts the messages of a batch in order, each to all clients but the
// one that sent it.
func (h *Engine) Relay(ctx context.Context, in *intake.Batch) error {
	h.keepRegistry()
	p := part{most: int(min(pump.ChunkSize, h.backlog.Segment()))}
	plain := in.Plain()
	for i := range in.Records() {
		r := &in.Records()[i]
		if r.Kind != intake.Message {
			continue
		}
		of := h.speakers.origin(r, int(h.gate.Clients()))
		for end := range in.Ends(r) {
			if p.full(end) {
				if err := h.backlog.PublishWait(ctx, backlog.Messages{Bytes: plain[p.begin:p.end], Ends: p.ends, Runs: p.of}, backlog.Paced); err != nil {
					return err
				}
				p.next()
			}
			p.add(end, of)
		}
	}
	if len(p.ends) == 0 {
		return ctx.Err()
	}
	return h.backlog.PublishWait(ctx, backlog.Messages{Bytes: plain[p.begin:p.end], Ends: p.ends, Runs: p.of}, backlog.Paced)
}

// part is the part of a batch that is broadcast at a time: more would lap clients
// that take all they can.
type part struct {
	most       int // weight
	begin, end int // of the batch's data
	ends       []int
	of         []feed.Run
}

func (p *part) full(end int) bool {
	return len(p.ends) > 0 && pump.Weight(end-p.begin, len(p.ends)) > p.most
}

func (p *part) next() { p.begin, p.ends, p.of = p.end, p.ends[:0], p.of[:0] }

// add adds the message that ends at end.
func (p *part) add(end int, of *feed.Origin) {
	p.end = end
	p.ends = append(p.ends, end-p.begin)
	if n := len(p.of); n > 0 && p.of[n-1].Of == of {
		p.of[n-1].Messages++
		return
	}
	p.of = append(p.of, feed.Run{Messages: 1, Of: of})
}

// speakers has the origin of each client's messages.
type speakers struct {
	mu    sync.Mutex
	known map[uint64]*feed.Origin
}

// origin returns the origin of r. Clients is how many are connected.
func (s *speakers) origin(r *intake.Record, clients int) *feed.Origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) > 2*clients+1000 {
		clear(s.known) // most have left; the others are added again
	}
	of := s.known[r.Client]
	if of == nil || of.Name != r.Name {
		if s.known == nil {
			s.known = map[uint64]*feed.Origin{}
		}
		of = &feed.Origin{ID: r.Client, Name: r.Name, Not: []uint64{r.Client}}
		s.known[r.Client] = of
	}
	return of
}

// exclude has a client skip message last, which is not published yet. The backlog
// calls it; whoever publishes has called keepRegistry before.
func (h *Engine) exclude(id, last uint64) {
	if w, ok := h.find(id); ok && w.client != nil { // a post is sent nothing
		w.client.out.Exclude(id, last)
	}
}
