//go:build unix

package engine

// This file sees to it that quotas hold (package quota). A loop that finds one
// over its limit reads no more messages, and has all loops elect the one with
// the client that holds the most:
//
//	overfull  a loop  finds that a quota is over, and begins the election
//	offer     a loop  names the most that one of its clients holds; the last
//	                  one to do so tells the winner
//	shed      a loop  has that client give it back

import (
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// overfull reports whether q is over, and if so sees to it that it will not be.
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

// offer answers for this loop, which has this number.
func (l *shard) offer(q *quota.Quota, number int) {
	_, most := l.largest(q)
	if winner, last := q.Offer(number, most); last {
		at := l.engine.loops[winner]
		at.Do(func() { at.shed(q) })
	}
}

// shed has the client of this loop that holds the most give it back, if the
// quota is still over.
func (l *shard) shed(q *quota.Quota) {
	c, _ := l.largest(q)
	if c != nil && q.Over() {
		l.shedFrom(c, q)
	}
	q.Done()
	if c != nil {
		l.overfull(q) // once may not be enough
	}
	l.engine.wakeAll() // to read on, or to ask again
}

// largest is the client that holds the most of q; nil if none holds any.
func (l *shard) largest(q *quota.Quota) (largest *client, most int) {
	for _, c := range l.clients {
		if n := l.heldBy(c, q); n > most {
			largest, most = c, n
		}
	}
	return largest, most
}

// heldBy is how much of q c holds and could give back.
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
