// Package pump moves bytes between files and the hub: it reads messages from a
// source into the backlog, and writes what clients send to a sink.
package pump

import (
	"sort"

	"hubbub.example/internal/framing"
)

const (
	// ChunkSize is the most that is read from a source at a time.
	ChunkSize = 64 << 10

	// overhead is roughly what a message costs in addition to its bytes, in its
	// encodings and the indexes. For an empty line that is nearly everything.
	overhead = 100
)

// Weight estimates the length of messages in the largest encoding.
func Weight(bytes, messages int) int { return bytes + overhead*messages }

// Chunker cuts what is read from a source into messages, and returns them a part at a
// time. It splits a message that is too long.
type Chunker struct {
	framing framing.Framing
	longest int
	chunk   int
	most    int    // weight of a part
	buf     []byte // read and not all broadcast
	whole   int    // length of the whole messages in buf; 0: all are broadcast
	ends    []int  // their ends
	from    int    // how much of them has been broadcast
	next    []int  // ends of the next part's messages, counted from there
	later   []int  // ends of the messages after it
	long    bool   // inside a message that is being split
}

// NewChunker makes a chunker for a backlog that frees its memory in segments of this
// size. A chunk must be much smaller than the backlog, and so must a part of it in its
// largest encoding. Otherwise it would lap a healthy client.
func NewChunker(framing framing.Framing, longest, segment int) *Chunker {
	return &Chunker{framing: framing, longest: longest, chunk: min(ChunkSize, segment), most: 4 * segment}
}

// Space returns the buffer for the next chunk.
func (c *Chunker) Space() []byte {
	n := len(c.buf)
	if need := n + c.chunk; cap(c.buf) < need {
		bigger := make([]byte, n, max(need, 2*n))
		copy(bigger, c.buf)
		c.buf = bigger
	}
	return c.buf[n : n+c.chunk]
}

// Took adds n bytes that were read into Space, and returns how many messages proved
// too long and are split.
func (c *Chunker) Took(n int) (long int) {
	fresh := len(c.buf)
	c.buf = c.buf[:fresh+n]
	if c.framing.Completes(fresh, c.buf[fresh:]) {
		return c.cut(c.framing.Whole(c.buf))
	}
	if len(c.buf) > c.longest {
		return c.cut(0)
	}
	return 0
}

// Finish makes a message of what is left at the end of the source. It drops an
// incomplete record and returns its length.
func (c *Chunker) Finish() (dropped int) {
	n := len(c.buf)
	if n == 0 {
		return 0
	}
	separator := c.framing.Separator()
	if separator == nil {
		c.buf = c.buf[:0]
		return n
	}
	c.buf = append(c.buf, separator...)
	c.cut(len(c.buf)) // never too long: Took left no more than a message
	return 0
}

// Pending reports whether there is a part to broadcast. The caller must broadcast it
// before it reads more.
func (c *Chunker) Pending() bool { return c.whole > 0 }

// Part returns the next messages to broadcast, in the form that package feed takes.
func (c *Chunker) Part() (p []byte, ends []int) {
	return c.buf[c.from : c.from+c.next[len(c.next)-1]], c.next
}

// Done records that the part was broadcast.
func (c *Chunker) Done() {
	c.from += c.next[len(c.next)-1]
	if len(c.later) > 0 {
		c.choose()
		return
	}
	c.buf = c.buf[:copy(c.buf, c.buf[c.whole:])]
	c.whole, c.from = 0, 0
}

// cut makes the first n bytes, which are whole messages, ready to broadcast. It splits
// messages that are too long into pieces with separators of their own.
func (c *Chunker) cut(n int) (long int) {
	c.ends = c.framing.Ends(c.ends[:0], c.buf[:n])
	c.whole = n
	if c.fits(n) {
		c.long = false
	} else {
		long = c.breakUp(n)
	}
	c.later = c.ends
	c.choose()
	return long
}

// fits reports whether no message is too long, including the incomplete one after the
// first n bytes.
func (c *Chunker) fits(n int) bool {
	if len(c.buf) <= c.longest {
		return true
	}
	begin, separator := 0, len(c.framing.Separator())
	for _, end := range c.ends {
		if end-begin-separator > c.longest {
			return false
		}
		begin = end
	}
	return len(c.buf)-n <= c.longest
}

// breakUp rewrites buf so that nothing in it is too long.
func (c *Chunker) breakUp(n int) (long int) {
	whole, tail := c.buf[:n], c.buf[n:]
	c.buf, c.ends = nil, c.ends[:0]
	for len(whole) > 0 {
		var message []byte
		message, whole = c.framing.Next(whole)
		rest, begins := c.pieces(message)
		c.add(rest)
		c.long = false
		long += begins
	}
	tail, begins := c.pieces(tail)
	c.whole = len(c.buf)
	c.buf = append(c.buf, tail...)
	return long + begins
}

// pieces adds pieces of p while it is too long, and returns the rest. begins is 1 if p
// is the beginning of a message that is too long.
func (c *Chunker) pieces(p []byte) (rest []byte, begins int) {
	for ; len(p) > c.longest; p = p[c.longest:] {
		// Without separators a piece is a message like any other.
		if !c.long && c.framing.Separator() != nil {
			begins = 1
		}
		c.long = true
		c.add(p[:c.longest])
	}
	return p, begins
}

// add adds one message.
func (c *Chunker) add(message []byte) {
	c.buf = append(append(c.buf, message...), c.framing.Separator()...)
	c.ends = append(c.ends, len(c.buf))
}

// choose makes the next part of as many messages as its weight allows. If they are very
// short, those of a whole chunk would lap a healthy client in an encoding that makes
// them long.
func (c *Chunker) choose() {
	n := len(c.later)
	if Weight(c.whole-c.from, n) > c.most {
		n = max(1, sort.Search(n, func(i int) bool { return Weight(c.later[i]-c.from, i+1) > c.most }))
	}
	c.next, c.later = c.later[:n], c.later[n:]
	if c.from > 0 {
		for i := range c.next {
			c.next[i] -= c.from
		}
	}
}
