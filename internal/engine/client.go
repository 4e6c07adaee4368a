//go:build unix

package engine

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
	phase phase

	unchecked bool // raw: its first line may be a web page's request
	spoke     bool // it sent something
	kicked    bool // it is muted for good, and not waited for
}

// ends is the end of c, from now on.
func (c *client) ends() *ending.Linger {
	if c.end == nil {
		c.end = &ending.Linger{}
	}
	return c.end
}
