//go:build unix

package engine

// This file enforces quotas (package quota). A shard that finds one exceeded reads
// no more messages, and all shards elect the one with the client that holds the
// most:
//
//	overfull  notices that a quota is exceeded and begins the election
//	offer     offers the most that one client of this shard holds; the last
//	          shard to offer tells the winner
//	shed      has that client give it back

import (
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// overfull reports whether q is exceeded, and if so begins an election.
func (l *shard) overfull(q *quota.Quota) bool {
	if !q.Over() {
		return false
	}
	if q.Elect(len(l.engine.loops)) {
		for i, other := range l.engine.loops {
			other.Do(func() { other.offer(q, i) })
		}
	}
	return true
}

// offer makes the offer of this shard, whose index is number.
func (l *shard) offer(q *quota.Quota, number int) {
	_, most := l.largest(q)
	if winner, last := q.Offer(number, most); last {
		at := l.engine.loops[winner]
		at.Do(func() { at.shed(q) })
	}
}

// shed has the client of this shard that holds the most give it back, if the quota
// is still exceeded.
func (l *shard) shed(q *quota.Quota) {
	c, _ := l.largest(q)
	if c != nil && q.Over() {
		l.shedFrom(c, q)
	}
	q.Done()
	if c != nil {
		l.overfull(q) // one client may not be enough
	}
	l.engine.wakeAll() // to read on, or to ask again
}

// largest returns the client that holds the most of q; nil if none holds any.
func (l *shard) largest(q *quota.Quota) (largest *client, most int) {
	for _, c := range l.clients {
		if n := l.heldBy(c, q); n > most {
			largest, most = c, n
		}
	}
	return largest, most
}

// heldBy returns how much of q c holds and could give back.
func (l *shard) heldBy(c *client, q *quota.Quota) int {
	switch {
	case q == l.engine.inbox.Beginnings && c.phase.receives():
		return c.Holds()
	case q == l.engine.policy.Private:
		return c.out.PrivateHeld()
	}
	return 0
}

// shedFrom has c give back what it holds of q.
func (l *shard) shedFrom(c *client, q *quota.Quota) {
	switch {
	case q == l.engine.inbox.Beginnings:
		l.cut(c, ending.Because(proto.ReasonOverQuota, "beginnings of messages fill the backlog, and its own is the longest (%s)", quantity.Bytes(int64(c.Holds()))))
	case c.phase == halfBroken: // it gets no private messages
		c.out.ForgetPrivate()
	default:
		l.keptPrivate(c, c.out.ShedPrivate(&l.engine.policy))
	}
}
