//go:build unix

// Package intake turns what clients send into messages for the caller. It does no
// I/O: a loop reads into the buffer of a Sender and reports how many bytes came.
//
//	Sender   a client and its incomplete message: raw.go, frames.go
//	Post     a Sender whose bytes a goroutine reads: post.go
//	Outcome  what the engine must do after input
//	Session  the numbers of hubbub.v1, which outlive a connection: session.go
//	Writer   a loop's end of the inbox: the batch that this turn fills
//	Inbox    the queue from the loops to the caller: a fixed number of batches
//
// Everything is bounded: when all batches are full or with the caller, loops stop
// reading and TCP pushes back; incomplete messages are shares of a quota; joins and
// leaves that find no batch wait with their loop, and accepting pauses.
package intake

import (
	"bytes"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
)

// ReadSize is the size of one read.
const ReadSize = 64 << 10

// Config applies to all input of a hub.
type Config struct {
	Framing    framing.Framing
	Longest    int          // message, without its separator
	Messages   bool         // the caller wants messages
	Presence   bool         // the caller wants joins and leaves
	Beginnings *quota.Quota // bytes of incomplete messages
	Posts      *quota.Quota // the part of these that posts hold
}

// Outcome is what the engine must do after input. All messages before it are in the
// batch.
type Outcome struct {
	End     ending.Reason // end the client, if this is not zero
	Finish  bool          // the client sends no more, and is served to the end
	Pong    []byte        // a frame to send; good until the next read
	Ack     uint64        // the number to acknowledge; 0: none
	Dropped int           // bytes at the end of input that are no whole record
}

// fitting returns how much of p, which is whole messages, comes before one that is too
// long. It checks each message only if one can be too long and still shorter than a
// read.
func (c *Config) fitting(p []byte) int {
	if c.Framing == framing.Raw {
		return len(p)
	}
	separator := len(c.Framing.Separator())
	for rest := p; len(rest) > c.Longest; {
		n := c.Framing.First(rest)
		if n-separator > c.Longest {
			return len(p) - len(rest)
		}
		rest = rest[n:]
	}
	return len(p)
}

// single reports whether message must stay one event: it contains a separator, or the
// framing has none.
func (c *Config) single(message []byte) bool {
	separator := c.Framing.Separator()
	return c.Framing == framing.Raw || len(separator) > 0 && bytes.Contains(message, separator)
}
