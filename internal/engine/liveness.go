//go:build unix

package engine

// This file finds dead peers and idle clients:
//
//	checkLiveness  closes clients that are dead or idle
//	beat           sends heartbeats, and closes clients that send none
//
// No client has a timer: while data is outstanding, a loop walks through its
// clients a few times per keepalive.
//
// The kernel finds idle peers that are dead (TCP keepalive). But while data is
// outstanding it sends no keepalives, and TCP_USER_TIMEOUT would close a peer
// that only pauses. So the check asks about clients with unacknowledged data
// (package link): a live peer acknowledges what reaches it, or the probes of
// its closed window.

import (
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/proto"
)

const (
	// beatEvery is how long a client that beats is sent nothing before it gets
	// a heartbeat; one of hubbub.v1 that has sent none for patientBeats times
	// as long is dead. A loop looks beatLooks times meanwhile.
	beatEvery    = 25 * time.Second
	beatLooks    = 5
	patientBeats = 3
)

// checksPerKeepAlive is the number of checks per keepalive.
const checksPerKeepAlive = 4

func (l *shard) scheduleLiveness() {
	l.nextLiveness.In(l.engine.livenessEvery)
}

// livenessEvery is the time between two checks.
func livenessEvery(o Config) time.Duration {
	every := time.Hour
	if o.KeepAlive > 0 {
		every = o.KeepAlive / checksPerKeepAlive
	}
	if o.IdleTimeout > 0 {
		every = min(every, o.IdleTimeout/4)
	}
	return max(every, time.Millisecond)
}

// checkLiveness is one walk over the clients.
func (l *shard) checkLiveness() {
	limit := l.engine.o.IdleTimeout
	again := limit > 0 && len(l.clients)+l.lobby.Quiet() > 0
	for _, c := range l.clients {
		if !c.phase.sends() {
			continue
		}
		if c.link.Unsettled() {
			l.probe(c)
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
		l.scheduleLiveness()
	}
}

// probe looks whether c's peer has all it was sent, or answers at least.
func (l *shard) probe(c *client) {
	if c.link.Settle() {
		l.credit(c)
		if !c.seat.Proven() {
			c.link.Unsettle() // look again
		}
		return
	}
	keep := l.engine.o.KeepAlive
	if keep <= 0 {
		return
	}
	if quiet := c.link.Silent(l.Now()); quiet >= keep {
		l.disconnected(c, ending.Because(proto.ReasonDead, "dead: no answer for %s", quiet.Round(time.Second/10)))
	}
}

// beat sends heartbeats to those who were sent nothing for a while, and ends
// those who answer none.
func (l *shard) beat() {
	every := l.engine.o.Heartbeat
	var v backlog.View
	l.engine.backlog.View(&v)
	for _, c := range l.clients {
		if !c.Protocol().Beats() || !c.phase.sends() {
			continue
		}
		quiet := c.link.SinceRecv(l.Millis())
		if c.Protocol() == codec.ProtocolV1 && quiet >= patientBeats*every && !c.link.Readable() {
			l.disconnected(c, ending.Because(proto.ReasonDead, "dead: no heartbeat for %s", quiet.Round(time.Second)))
			continue
		}
		if c.link.SinceSent(l.Millis()) >= every && !c.link.Blocked() && c.out.Lag(&v) <= 0 {
			l.control(c).Heartbeat = true
		}
		// One that is never silent to must be asked all the same.
		if c.Protocol() == codec.ProtocolV1 && quiet >= every {
			l.control(c).Heartbeat = true
		}
	}
	if l.beating > 0 {
		l.nextBeat.In(every / beatLooks)
	}
}
