// Package pump moves bytes between files and the hub: what a source gives
// becomes messages for the backlog, and what clients send goes to a sink.
package pump

import (
	"sort"

	"hubbub.example/internal/framing"
)

const (
	// ChunkSize is how much of a source is read at a time, at most.
	ChunkSize = 64 << 10

	// overhead is about what a message costs beside its bytes, in its encodings
	// and the indexes: for an empty line that is nearly all.
	overhead = 100
)

// Weight estimates how long messages of so many bytes are in the largest
// encoding.
func Weight(bytes, messages int) int { return bytes + overhead*messages }

// Chunker cuts what is read from a source into messages, and hands them out a
// part at a time. One that is longer than allowed goes on in pieces.
type Chunker struct {
	framing framing.Framing
	longest int
	chunk   int
	most    int    // the weight of one part
	buf     []byte // read, and not all of it broadcast
	whole   int    // the beginning of buf that is whole messages; 0: all are broadcast
	ends    []int  // where they end
	from    int    // up to where they have been broadcast
	next    []int  // where the messages of the next part end, counted from there
	later   []int  // where those after it end
	long    bool   // inside a message that goes on in pieces
}

// NewChunker makes a chunker for a backlog that gives its memory back in
// segments of this size. A chunk must be far smaller than the backlog, and so
// must a part of it in its largest encoding: else it would lap a healthy client.
func NewChunker(framing framing.Framing, longest, segment int) *Chunker {
	return &Chunker{framing: framing, longest: longest, chunk: min(ChunkSize, segment), most: 4 * segment}
}

// Space returns where the next chunk is read to.
func (c *Chunker) Space() []byte {
	n := len(c.buf)
	if need := n + c.chunk; cap(c.buf) < need {
		bigger := make([]byte, n, max(need, 2*n))
		copy(bigger, c.buf)
		c.buf = bigger
	}
	return c.buf[n : n+c.chunk]
}

// Took takes n bytes that were read to Space, and returns how many messages
// turned out to be too long and go on in pieces.
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

// Finish makes what is left at the end of the source a message of its own. If
// it cannot be one, it is dropped, and Finish returns its length.
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

// Pending reports whether there is a part to broadcast. Until it is, nothing
// more may be read.
func (c *Chunker) Pending() bool { return c.whole > 0 }

// Part returns the next messages to broadcast, as package feed wants them.
func (c *Chunker) Part() (p []byte, ends []int) {
	return c.buf[c.from : c.from+c.next[len(c.next)-1]], c.next
}

// Done goes on after the part, which was broadcast.
func (c *Chunker) Done() {
	c.from += c.next[len(c.next)-1]
	if len(c.later) > 0 {
		c.choose()
		return
	}
	c.buf = c.buf[:copy(c.buf, c.buf[c.whole:])]
	c.whole, c.from = 0, 0
}

// cut makes the first n bytes, which are whole messages, ready to broadcast.
// Messages that are too long become pieces, with separators of their own.
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

// fits reports whether no message, nor the beginning after the n bytes of
// whole ones, is too long.
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

// pieces adds what of p is too much for one message, and returns what is left
// of it. Begins is 1 if p is the first of a message that is too long.
func (c *Chunker) pieces(p []byte) (rest []byte, begins int) {
	for ; len(p) > c.longest; p = p[c.longest:] {
		// Where nothing separates messages, a piece is as good as the whole.
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

// choose makes a part of as many messages as are not too much at a time: those
// of one chunk, if they are very short, would lap a healthy client in an
// encoding in which they are long.
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
