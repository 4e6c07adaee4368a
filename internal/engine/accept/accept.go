//go:build unix

// Package accept is connections that are no clients yet. It takes them in and
// finds out what they speak; what becomes of each it returns, and the engine
// does it.
//
//	Acceptor    listeners, and the descriptor in reserve      (acceptor.go)
//	Gate        how many there may be; a Slot is a place among them (gate.go)
//	Conn        a connection that is no client yet              (this file)
//	Lobby       where they wait until it is known what they are (lobby.go)
//	            what their first bytes tell                     (sniff.go)
//	Preconnects spare connections of browsers                   (preconnect.go)
//	Arrival     one that is known, on its way to its loop       (this file)
//
// A connection misses nothing while it waits: it begins where it stood when it
// was accepted. It is no join, and counts for nothing but its descriptor.
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
	Watched bool // the poller knows it
	Spoke   bool // it has said something
	Checked bool // and that is no HTTP request
}

// age returns how long ago c came.
func (c *Conn) age(now uint32) time.Duration { return time.Duration(now-c.came) * time.Millisecond }

// phase is what a connection in the lobby waits for.
type phase uint8

const (
	silent    phase = iota // to say something
	expected               // the same, at an address for HTTP, where nothing is sent before a request comes
	asking                 // for the rest of its request's head; or it may still be HTTP, or is a browser's spare
	waiting                // for a place at net/http: its head is whole
	lingering              // for its end: it was refused
	phases
)

// Arrival is a connection that is known, by whichever door it came: its first
// bytes told, or an HTTP request.
type Arrival struct {
	FD       int
	Addr     sock.Addr
	Protocol codec.Protocol
	Ready    link.Ready
	Slot     Slot
	Watched  bool // the poller knows it already
	Spoke    bool // it has said something
	Checked  bool // and that is no HTTP request

	After uint64 // the message after which it begins, and
	Start int64  // where that is,
	Past  bool   // in the canonical feed, though its protocol has one of its own

	Name    string
	Session string
	Input   []byte  // what it sent right behind its request
	Resume  *Resume // where it can be told how that went
}

// Resume is what a stream asked for.
type Resume struct {
	Asked   string // its resume point
	Since   uint64 // the message after which it was to begin
	Unknown bool   // the resume point is none of this server's
}

// Arrival is c that speaks raw.
func (c *Conn) Arrival() Arrival {
	return Arrival{
		FD: int(c.FD), Addr: c.Addr, Ready: c.Ready, Slot: c.Slot, Watched: c.Watched,
		Spoke: c.Spoke, Checked: c.Checked, Start: c.Start,
	}
}

// Conn returns a again, as one that may be no client.
func (a *Arrival) Conn() Conn {
	return Conn{FD: int32(a.FD), Addr: a.Addr, Ready: a.Ready, Slot: a.Slot}
}
