//go:build unix

package hubbub

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/sock"
)

// client is one connection. Only its loop touches it. There is one for each
// connection, so what is only sometimes needed stands in extra.
type client struct {
	intake.Sender
	out   delivery.Cursor // what it is to be sent
	extra *extra
	link  link.Link
	place int32        // in loop.clients
	seat  backlog.Seat // does what it was sent count as heard?
	state state
	port  sock.Protocol // what the address it came to is for

	unchecked bool // raw: its first line may be a web page's request
	refused   bool // it was never let in
	spoke     bool // it sent something
	kicked    bool // it is muted for good, and not waited for
}

// reads says that what the client sends is still taken.
func (c *client) reads() bool { return c.state <= broken }

// extra is what few clients need, and those not for long.
type extra struct {
	unread int    // finishing: bytes of its input that are read before the end
	broke  error  // broken: why it takes no more
	linger linger // it is lingering

	// WebSockets and other HTTP streams.
	arrival *arrival // what it asked for, until it is taken in
}

// state is how far a client is on its way out.
type state uint8

const (
	live      state = iota
	finishing       // gets what lies before its goal, then the end of file
	broken          // takes no more; what it sent before is still read
	lingering       // got the end of file; its input is read and discarded
	strange         // no client yet: stranger.go
	dead            // closed at the end of this turn
	away            // its connection is net/http's
)

// streams says that the client takes its part of the feed.
func (c *client) streams() bool { return c.state <= finishing }

// more is c's extra part, made on demand.
func (c *client) more() *extra {
	if c.extra == nil {
		c.extra = &extra{}
	}
	return c.extra
}

// tidy lets go of the extra part when nothing in it is needed.
func (c *client) tidy() {
	if x := c.extra; x != nil && c.state == live && x.arrival == nil {
		c.extra = nil
	}
}
