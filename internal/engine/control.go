//go:build unix

package engine

// This file sends control messages between two messages of the feed
// (delivery.Control):
//
//	tell     a notice: a hello, an unknown resume point
//	control  pongs, acks and heartbeats, of which only the newest counts

import "hubbub.example/internal/engine/delivery"

// control returns what is to be sent to c as soon as it takes more.
func (s *sending) control(c *client) *delivery.Control {
	if !c.link.Blocked() {
		s.writable.add(c)
	}
	return c.out.Control()
}

// tell sends p, a whole message in c's encoding.
func (s *sending) tell(c *client, p []byte) {
	x := s.control(c)
	x.Notices = append(x.Notices, p...)
}
