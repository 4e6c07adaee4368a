//go:build unix

package engine

// This file finds dead peers and idle clients:
//
//	checkLiveness  closes clients that are dead or idle
//	beat           sends heartbeats, and closes clients that send none
//
// No client has a timer: while data is outstanding, a shard checks its clients a
// few times per keepalive.
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
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/proto"
)

const (
	// A client whose protocol has heartbeats gets one after beatEvery in which
	// it was sent nothing. A client of hubbub.v1 that has sent none for
	// deadAfterBeats times as long is dead. A shard checks beatChecks times per
	// beatEvery.
	beatEvery      = 25 * time.Second
	beatChecks     = 5
	deadAfterBeats = 3
)

// checksPerKeepAlive is the number of checks per keepalive.
const checksPerKeepAlive = 4

// liveness has the timers that find dead and idle clients.
type liveness struct {
	owner
	beating int // clients that are sent heartbeats

	nextLiveness, nextBeat *loop.Timer
}

func (v *liveness) scheduleLiveness() {
	v.nextLiveness.In(v.engine.livenessEvery)
}

// livenessEvery returns the time between two checks.
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

// checkLiveness checks every client once.
func (v *liveness) checkLiveness() {
	limit := v.engine.o.IdleTimeout
	again := limit > 0 && len(v.shard.clients)+v.shard.lobby.Quiet() > 0
	for _, c := range v.shard.clients {
		if !c.phase.sends() {
			continue
		}
		if c.link.Unsettled() {
			v.probe(c)
			again = again || c.link.Unsettled()
			if limit > 0 && c.link.Unsettled() && c.phase.sends() {
				c.link.SampleTaken(v.shard.Millis())
			}
		}
		// A client that is not read because the inbox is full is not idle.
		if limit > 0 && c.phase.sends() && !c.link.Readable() && c.link.Idle(v.shard.Millis()) >= limit {
			v.shard.cut(c, ending.Idle(limit))
		}
	}
	if limit > 0 {
		v.shard.actAll(v.shard.lobby.Idle(v.shard.Millis(), limit))
	}
	if again {
		v.scheduleLiveness()
	}
}

// probe checks whether c's peer has acknowledged everything, or answers at least.
func (v *liveness) probe(c *client) {
	if c.link.Settle() {
		v.shard.credit(c)
		if !c.seat.Proven() {
			c.link.Unsettle() // check again
		}
		return
	}
	keep := v.engine.o.KeepAlive
	if keep <= 0 {
		return
	}
	if quiet := c.link.Silent(v.shard.Now()); quiet >= keep {
		v.shard.disconnected(c, ending.Because(proto.ReasonDead, "dead: no answer for %s", quiet.Round(time.Second/10)))
	}
}

// beginBeats starts heartbeats to c, if its protocol has them.
func (v *liveness) beginBeats(c *client) {
	if c.Protocol().Beats() {
		v.beating++
		v.nextBeat.In(v.engine.o.Heartbeat / beatChecks)
	}
}

// endBeats ends them.
func (v *liveness) endBeats(c *client) {
	if c.Protocol().Beats() {
		v.beating--
	}
}

// beat sends heartbeats to clients that were sent nothing for a while, and ends
// clients that do not answer.
func (v *liveness) beat() {
	every := v.engine.o.Heartbeat
	var view backlog.View
	v.engine.backlog.View(&view)
	for _, c := range v.shard.clients {
		if !c.Protocol().Beats() || !c.phase.sends() {
			continue
		}
		quiet := c.link.SinceRecv(v.shard.Millis())
		if c.Protocol() == codec.ProtocolV1 && quiet >= deadAfterBeats*every && !c.link.Readable() {
			v.shard.disconnected(c, ending.Because(proto.ReasonDead, "dead: no heartbeat for %s", quiet.Round(time.Second)))
			continue
		}
		if c.link.SinceSent(v.shard.Millis()) >= every && !c.link.Blocked() && c.out.Lag(&view) <= 0 {
			v.shard.control(c).Heartbeat = true
		}
		// A client that is always sent something must be probed as well.
		if c.Protocol() == codec.ProtocolV1 && quiet >= every {
			v.shard.control(c).Heartbeat = true
		}
	}
	if v.beating > 0 {
		v.nextBeat.In(every / beatChecks)
	}
}
