//go:build unix

package hubbub

import (
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
)

// client is one connection that is served. Only its loop touches it.
type client struct {
	intake.Sender
	out   delivery.Cursor // what it is to be sent
	end   *ending.Linger  // nil while it is served
	link  link.Link
	place int32        // in loop.clients
	seat  backlog.Seat // does what it was sent count as heard?
	slot  accept.Slot
	state state

	unchecked bool // raw: its first line may be a web page's request
	spoke     bool // it sent something
	kicked    bool // it is muted for good, and not waited for
}

// reads says that what the client sends is still taken.
func (c *client) reads() bool { return c.state <= broken }

// state is how far a client is on its way out.
type state uint8

const (
	live      state = iota
	finishing       // gets what lies before its goal, then the end of file
	broken          // takes no more; what it sent before is still read
	lingering       // got the end of file; its input is read and discarded
	dead            // closed at the end of this turn
)

// streams says that the client takes its part of the feed.
func (c *client) streams() bool { return c.state <= finishing }

// ends is the end of c, from now on.
func (c *client) ends() *ending.Linger {
	if c.end == nil {
		c.end = &ending.Linger{}
	}
	return c.end
}
