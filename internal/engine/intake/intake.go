//go:build unix

// Package intake is what clients say, on its way to the caller. It does no I/O:
// a loop reads bytes to where a Sender wants them, and tells how many came.
//
//	Sender   who a client is, and what it has begun to say: raw.go, frames.go
//	Post     a Sender whose bytes a goroutine reads: post.go
//	Outcome  what the input asks the engine to do
//	Session  the numbers of hubbub.v1, which outlive a connection: session.go
//	Writer   a loop's end of the inbox: the batch that this turn fills
//	Inbox    the queue from the loops to the caller: a fixed number of batches
//
// Nothing here grows without a bound: when all batches are full or with the
// caller, loops stop reading and TCP pushes back; beginnings of messages are
// shares of a quota; joins and leaves that find no batch wait with their loop,
// which accepts nobody meanwhile.
package intake

import (
	"bytes"

	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/quota"
	"hubbub.example/internal/framing"
)

// ReadSize is how much one read asks for.
const ReadSize = 64 << 10

// Config is what holds for all input of a hub.
type Config struct {
	Framing    framing.Framing
	Longest    int          // message, without its separator
	Messages   bool         // the caller wants messages
	Presence   bool         // the caller wants joins and leaves
	Beginnings *quota.Quota // bytes of messages that are not whole yet
	Posts      *quota.Quota // of these, what posts hold
}

// Outcome is what input asks the engine to do, after all messages before it
// are in the batch.
type Outcome struct {
	End     ending.Reason // the client ends, if this is not zero
	Finish  bool          // the client has said its last, and is served to the end
	Pong    []byte        // a frame to send; good until the next read
	Ack     uint64        // the number to acknowledge; 0: none
	Dropped int           // bytes at the end of input that are no whole record
}

// fitting returns how much of p, which is whole messages, comes before one that is
// too long. Only where a message can be shorter than one read and still too
// long does it look at each. Raw bytes are no message.
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

// single reports whether message must stay one event: it contains what
// separates messages elsewhere, or nothing separates them.
func (c *Config) single(message []byte) bool {
	separator := c.Framing.Separator()
	return c.Framing == framing.Raw || len(separator) > 0 && bytes.Contains(message, separator)
}
