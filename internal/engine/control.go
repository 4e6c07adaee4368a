//go:build unix

package engine

// This file has one client be sent something alone, between two messages of its
// feed (delivery.Control):
//
//	tell     a notice, once: a hello, a resume point that is not known
//	control  the rest, of which only the newest counts

import "hubbub.example/internal/engine/delivery"

// control is what waits for c, which is sent it as soon as it takes more.
func (s *sending) control(c *client) *delivery.Control {
	if !c.link.Blocked() {
		s.writable.add(c)
	}
	return c.out.Control()
}

// tell adds p, which is whole in c's encoding, to what c is told.
func (s *sending) tell(c *client, p []byte) {
	x := s.control(c)
	x.Notices = append(x.Notices, p...)
}
