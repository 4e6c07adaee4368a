//go:build unix

// Package accept has the connections that are no clients yet. It accepts them and
// detects their protocols. It returns what to do with each, and the engine does it.
//
//	Acceptor    listeners, and the descriptor in reserve      (acceptor.go)
//	Gate        limits; a Slot is what one connection takes     (gate.go)
//	Conn        a connection that is no client yet              (this file)
//	Lobby       connections whose protocol is not known yet     (lobby.go)
//	            their first bytes                               (sniff.go)
//	Preconnects spare connections of browsers                   (preconnect.go)
//	Arrival     one whose protocol is known                     (this file)
//
// A connection misses nothing while it waits: its stream begins where the feed was
// when it was accepted.
package accept

import (
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/sock"
)

// Conn is a connection that is no client yet.
type Conn struct {
	Start   int64 // where its part of the feed begins
	FD      int32
	came    uint32 // the loop's milliseconds; they wrap around
	index   int32  // in its roster
	dropped uint32 // lingering: bytes that were read and discarded
	Addr    sock.Addr
	Slot    Slot
	link.Ready
	Port    sock.Protocol // what the address it came to is for
	phase   phase
	Watched bool // the poller has it
	Spoke   bool // it has sent something
	Checked bool // and that is no HTTP request
}

// age returns how long ago c came.
func (c *Conn) age(now uint32) time.Duration { return time.Duration(now-c.came) * time.Millisecond }

// phase is what a connection in the lobby waits for.
type phase uint8

const (
	silent    phase = iota // its first bytes
	expected               // the same, at an address for HTTP only
	asking                 // the rest of a head, or of what may become one; or a browser's spare connection
	waiting                // a place at net/http: its head is complete
	lingering              // its end: it was refused
	phases
)

// Arrival is a connection whose protocol is known, from its first bytes or from an
// HTTP request.
type Arrival struct {
	FD       int
	Addr     sock.Addr
	Protocol codec.Protocol
	Ready    link.Ready
	Slot     Slot
	Watched  bool // the poller has it already
	Spoke    bool // it has sent something
	Checked  bool // and that is no HTTP request

	After uint64 // the message after which its stream begins, and
	Start int64  // where that is,
	Past  bool   // in the canonical feed, not in that of its protocol

	Name    string
	Session string
	Input   []byte  // what it sent right after its request
	Resume  *Resume // nil where the client cannot be told
}

// Resume is what a stream asked for.
type Resume struct {
	Asked   string // its resume point
	Since   uint64 // the message of that
	Unknown bool   // it is no resume point of this server
}

// Arrival makes c an arrival that speaks raw.
func (c *Conn) Arrival() Arrival {
	return Arrival{
		FD: int(c.FD), Addr: c.Addr, Ready: c.Ready, Slot: c.Slot, Watched: c.Watched,
		Spoke: c.Spoke, Checked: c.Checked, Start: c.Start,
	}
}

// Conn makes a, which may be no client, a connection again.
func (a *Arrival) Conn() Conn {
	return Conn{FD: int32(a.FD), Addr: a.Addr, Ready: a.Ready, Slot: a.Slot}
}
