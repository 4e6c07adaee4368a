//go:build unix

package engine

// This file sends private messages, each to one client:
//
//	Send         any goroutine: leaves it in the mail of the client's shard, with
//	             the number of the last broadcast
//	takePrivate  the shard: gives it to the client's cursor, which keeps it until
//	             that broadcast is sent
//	Kick         the same for the end of a client
//
// A shard takes its view of the feeds before it takes private messages, and sends
// no further in that turn. So a later broadcast is never sent before an earlier
// private message.

import (
	"fmt"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
)

// spareKept is the capacity for private messages that a shard keeps.
const spareKept = 1024

// private is a message to one client, or, with kick, the end of it.
type private struct {
	to *client
	delivery.Private
	kick bool // Data says why
}

// Send sends a message to some clients, each in order with the broadcasts. It
// never waits. It returns the ids of those that are not connected.
func (r *registry) Send(message []byte, to ...uint64) (unknown []uint64, err error) {
	if err := r.engine.check(message); err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	var same [backlog.Encodings][]byte
	after := r.engine.backlog.Count()
	for _, id := range to {
		w, ok := r.find(id)
		if !ok || w.post != nil {
			unknown = append(unknown, id)
			continue
		}
		e := w.client.out.Own()
		if same[e] == nil {
			same[e] = r.private(e, message)
		}
		leaveMail(w.loop, &w.loop.mail.private, private{to: w.client, Private: delivery.Private{After: after, Data: same[e]}})
	}
	return unknown, nil
}

// private encodes a private message.
func (r *registry) private(e backlog.Encoding, message []byte) []byte {
	switch e {
	case backlog.Frames:
		return codec.AppendMessage(nil, message)
	case backlog.V1:
		return codec.AppendPrivate(nil, message)
	case backlog.SSE:
		return codec.AppendPrivateEvent(nil, message)
	}
	return r.engine.separated(message)
}

// Kick ends a client after what was broadcast and sent to it before, if it takes
// that at once.
func (r *registry) Kick(id uint64, reason string) (ok bool) {
	w, ok := r.find(id)
	switch {
	case !ok:
	case w.post != nil:
		w.loop.Do(func() { w.loop.kickPost(w.post, ending.Kicked(reason)) })
	default:
		leaveMail(w.loop, &w.loop.mail.private, private{to: w.client, Private: delivery.Private{After: r.engine.backlog.Count(), Data: []byte(reason)}, kick: true})
	}
	return ok
}

// takePrivate gives clients their private messages. It first renews the view of
// this turn; no other function does, so that broadcasts and private messages stay
// in order.
func (s *sending) takePrivate() {
	s.engine.backlog.View(&s.view)
	s.shard.mail.mu.Lock()
	came := s.shard.mail.private
	s.shard.mail.private = s.spareMail[:0]
	s.shard.mail.mu.Unlock()
	for i, x := range came {
		came[i] = private{}
		switch c := x.to; {
		case c.Left(): // meanwhile
		case x.kick:
			s.kick(c, x)
		case c.phase.sends():
			s.keepPrivate(c, x.Private)
		}
	}
	if s.spareMail = came[:0]; cap(came) > spareKept { // a burst has gone by
		s.spareMail = nil
	}
}

// keepPrivate gives x to c's cursor.
func (s *sending) keepPrivate(c *client, x delivery.Private) {
	if !c.link.Blocked() {
		s.writable.add(c)
	}
	s.keptPrivate(c, c.out.Private(x, &s.engine.policy))
	s.shard.overfull(s.engine.policy.Private)
}

// keptPrivate acts on the result of keeping a private message for c.
func (s *sending) keptPrivate(c *client, k delivery.Kept) {
	switch {
	case k.End.Kind != 0:
		s.shard.cut(c, k.End)
	case k.Lossy != "":
		s.engine.log.Warnf("client %d %s: the oldest are dropped", c.ID(), k.Lossy)
	}
}

// kick ends c, at once if it does not take everything now.
func (s *sending) kick(c *client, x private) {
	reason := ending.Kicked(string(x.Data))
	s.engine.log.Debugf("client %d (%s) is %s", c.ID(), c.Addr(), reason.Text)
	if c.phase == halfBroken {
		s.shard.disconnected(c, reason)
		return
	}
	c.Mute(true)
	c.kicked = true
	waits := c.out.FinishAfter(&s.view, x.After)
	if c.link.Blocked() || waits > link.Unsent {
		s.shard.closeWith(c, reason)
		return
	}
	s.shard.flushes(c, reason)
}
