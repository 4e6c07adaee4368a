//go:build unix

package hubbub

// This file has one client be sent something alone, between two messages of its
// feed (delivery.Control):
//
//	tell  a notice, once: a hello, a resume point that is not known
//	beat  a heartbeat, when it was sent nothing else for a while

import (
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
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

// control is what waits for c, which is sent it as soon as it takes more.
func (l *loop) control(c *client) *delivery.Control {
	if !c.link.Blocked() {
		l.writable.add(c)
	}
	return c.out.Control()
}

// tell adds p, which is whole in c's encoding, to what c is told.
func (l *loop) tell(c *client, p []byte) {
	x := l.control(c)
	x.Notices = append(x.Notices, p...)
}

// beat sends heartbeats to those who were sent nothing for a while, and ends
// those who answer none.
func (l *loop) beat() {
	every := l.hub.o.pace.beat
	var v backlog.View
	l.hub.backlog.View(&v)
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
