//go:build unix

package hubbub

// This file finds peers that are gone without a word, and clients that are
// idle. There is no timer for a client: while something is outstanding, a
// loop walks through its clients a few times in a keepalive.
//
// An idle peer is the kernel's matter (TCP keepalive). But while data is
// under way no keepalive is asked for, and TCP_USER_TIMEOUT would end a peer
// that merely pauses; so clients with unacknowledged data are asked about
// here. A peer that is alive acknowledges what reaches it, and if its window
// is shut, the probes: dead is only who leaves questions unanswered.

import (
	"time"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

// walksAKeepAlive is how many patrols there are in one keepalive.
const walksAKeepAlive = 4

func (l *loop) schedulePatrol() {
	l.nextPatrol.In(l.hub.patrolEvery)
}

// patrolEvery is the time between two patrols.
func patrolEvery(o Options) time.Duration {
	every := time.Hour
	if o.KeepAlive > 0 {
		every = o.KeepAlive / walksAKeepAlive
	}
	if o.IdleTimeout > 0 {
		every = min(every, o.IdleTimeout/4)
	}
	return max(every, time.Millisecond)
}

// patrol is one walk.
func (l *loop) patrol() {
	limit := l.hub.o.IdleTimeout
	again := limit > 0 && len(l.clients)+l.lobby.Quiet() > 0
	for _, c := range l.clients {
		if !c.phase.sends() {
			continue
		}
		if c.link.Unsettled() {
			l.askAfter(c)
			again = again || c.link.Unsettled()
			if limit > 0 && c.link.Unsettled() && c.phase.sends() {
				c.link.SampleTaken(l.Millis())
			}
		}
		// Who is not read, since the inbox is full, is not idle.
		if limit > 0 && c.phase.sends() && !c.link.Readable() && c.link.Idle(l.Millis()) >= limit {
			l.cut(c, ending.Idle(limit))
		}
	}
	if limit > 0 {
		l.actAll(l.lobby.Idle(l.Millis(), limit))
	}
	if again {
		l.schedulePatrol()
	}
}

// askAfter looks whether c's peer has all it was sent, or answers at least.
func (l *loop) askAfter(c *client) {
	if c.link.Settle() {
		l.credit(c)
		if !c.seat.Proven() {
			c.link.Unsettle() // look again
		}
		return
	}
	keep := l.hub.o.KeepAlive
	if keep <= 0 {
		return
	}
	if quiet := c.link.Silent(l.Now()); quiet >= keep {
		l.disconnected(c, ending.Because(proto.ReasonDead, "dead: no answer for %s", quiet.Round(time.Second/10)))
	}
}
