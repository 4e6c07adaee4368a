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

// client is one connection that is served. Only its shard touches it.
type client struct {
	intake.Sender
	out   delivery.Cursor // what to send next
	end   *ending.Linger  // nil while it is served
	link  link.Link
	place int32        // in members.clients
	seat  backlog.Seat // whether what it was sent counts as received
	slot  accept.Slot
	phase phase

	unchecked bool // raw: its first line may be an HTTP request
	spoke     bool // it has sent something
	kicked    bool // it stays muted, and is closed if it does not take everything at once
}

// ends returns the end of c, which begins if it has not begun.
func (c *client) ends() *ending.Linger {
	if c.end == nil {
		c.end = &ending.Linger{}
	}
	return c.end
}
