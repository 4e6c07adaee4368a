//go:build unix

package hubbub

import (
	"sort"

	"hubbub.example/internal/codec"
)

const (
	// chunk is how much of a source is read at a time, at most.
	chunk = 64 << 10

	// around is about what a message costs beside its bytes, in its forms and
	// the indexes: of an empty line that is nearly all.
	around = 100
)

// weight is about what messages of so many bytes in all are in their largest form.
func weight(bytes, messages int) int { return bytes + around*messages }

// intake cuts what is read from a source into messages.
type intake struct {
	framing codec.Framing
	longest int
	chunk   int
	most    int    // the weight of what is broadcast at a time
	buf     []byte // read, and not all of it broadcast
	whole   int    // the beginning of buf that is whole messages; 0: all are broadcast
	ends    []int  // where they end
	from    int    // up to where they have been broadcast
	next    []int  // where those end that are to be broadcast next, counted from there
	later   []int  // where those behind them end
	long    bool   // inside a message that goes on in pieces
	warn    func(format string, args ...any)
}

func (h *Hub) newIntake() *intake {
	// A chunk must be far smaller than the feed, and what becomes of it smaller
	// still than the backlog: it would lap a healthy client.
	segment := int(h.feed.Segment())
	return &intake{framing: h.framing, longest: h.longest, chunk: min(chunk, segment), most: 4 * segment, warn: h.warnf}
}

// space is where the next chunk is to be read to.
func (in *intake) space() []byte {
	n := len(in.buf)
	if need := n + in.chunk; cap(in.buf) < need {
		bigger := make([]byte, n, max(need, 2*n))
		copy(bigger, in.buf)
		in.buf = bigger
	}
	return in.buf[n : n+in.chunk]
}

// took enters n bytes that were read to space.
func (in *intake) took(n int) {
	fresh := len(in.buf)
	in.buf = in.buf[:fresh+n]
	if in.framing.Completes(fresh, in.buf[fresh:]) {
		in.cut(in.framing.Whole(in.buf))
	} else if len(in.buf) > in.longest {
		in.cut(0)
	}
}

// cut makes the first n bytes, which are whole messages, ready to broadcast.
// Messages longer than allowed become pieces, with separators of their own.
func (in *intake) cut(n int) {
	in.ends = in.framing.Ends(in.ends[:0], in.buf[:n])
	in.whole = n
	if in.fits(n) {
		in.long = false
	} else {
		in.breakUp(n)
	}
	in.later = in.ends
	in.choose()
}

// fits says that no message, nor the beginning after the n bytes of whole
// ones, is too long.
func (in *intake) fits(n int) bool {
	if len(in.buf) <= in.longest {
		return true
	}
	begin, separator := 0, len(in.framing.Separator())
	for _, end := range in.ends {
		if end-begin-separator > in.longest {
			return false
		}
		begin = end
	}
	return len(in.buf)-n <= in.longest
}

// breakUp rewrites buf so that nothing in it is too long.
func (in *intake) breakUp(n int) {
	whole, tail := in.buf[:n], in.buf[n:]
	in.buf, in.ends = nil, in.ends[:0]
	for len(whole) > 0 {
		var message []byte
		message, whole = in.framing.Next(whole)
		in.add(in.pieces(message))
		in.long = false
	}
	tail = in.pieces(tail)
	in.whole = len(in.buf)
	in.buf = append(in.buf, tail...)
}

// pieces adds what of p is too much for one message, and returns what is left
// of it.
func (in *intake) pieces(p []byte) (rest []byte) {
	for ; len(p) > in.longest; p = p[in.longest:] {
		// Where nothing separates messages, a piece is as good as the whole.
		if !in.long && in.framing.Separator() != nil {
			in.warn("a message of the source is longer than %s and goes on in pieces", size(int64(in.longest)))
		}
		in.long = true
		in.add(p[:in.longest])
	}
	return p
}

// add adds one message.
func (in *intake) add(message []byte) {
	in.buf = append(append(in.buf, message...), in.framing.Separator()...)
	in.ends = append(in.ends, len(in.buf))
}

// finish makes what is left at the end of the source a message of its own.
func (in *intake) finish() {
	n := len(in.buf)
	if n == 0 {
		return
	}
	separator := in.framing.Separator()
	if separator == nil {
		in.warn("what is left at the end of the source, %s, is no whole record and is dropped", size(int64(n)))
		in.buf = in.buf[:0]
		return
	}
	in.buf = append(in.buf, separator...)
	in.cut(len(in.buf))
}

// choose has as many of the messages be broadcast next as are not too much at a
// time: those of one chunk, if they are very short, would lap a healthy client in
// a form in which they are long.
func (in *intake) choose() {
	n := len(in.later)
	if weight(in.whole-in.from, n) > in.most {
		n = max(1, sort.Search(n, func(i int) bool { return weight(in.later[i]-in.from, i+1) > in.most }))
	}
	in.next, in.later = in.later[:n], in.later[n:]
	if in.from > 0 {
		for i := range in.next {
			in.next[i] -= in.from
		}
	}
}

// part is what is to be broadcast next, as package feed wants it.
func (in *intake) part() (p []byte, ends []int) {
	return in.buf[in.from : in.from+in.next[len(in.next)-1]], in.next
}

// done goes on behind that, which was broadcast.
func (in *intake) done() {
	in.from += in.next[len(in.next)-1]
	if len(in.later) > 0 {
		in.choose()
		return
	}
	in.buf = in.buf[:copy(in.buf, in.buf[in.whole:])]
	in.whole, in.from = 0, 0
}
