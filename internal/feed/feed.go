//go:build unix

// Package feed is the log of a hub's broadcast messages: each is appended once,
// and every client reads from its own position.
//
//	base                whole                                    head
//	 |____________________|________________________________________|
//	 | segment  | segment  | segment  |  …                | segment |
//	      ^ a client far behind                    ^ another        ^ and most
//
// A position is an offset from the feed's beginning; a client's position is its
// cursor. The bytes are in segments of a memory file, at the same offset. Append
// adds at the head; Drop frees the oldest segments. An appended byte is never
// overwritten, since a socket may still refer to it.
//
// Any goroutine may read between base and head without a lock, by Span or from
// the file. The caller makes sure that no reader is below what it drops. The
// index (index.go: where each message ends and when it came; origin.go: from whom) is
// behind a lock; few calls need it.
//
// Several feeds may hold the same messages, each in its own encoding. A feed
// that is made later begins with the message that its first reader wants. It
// grows downwards when another reader wants older messages: Prepend. Excess
// applies one limit to all of them together.
package feed

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

const (
	// pieces is the number of segments of a backlog: memory is freed in steps
	// of a sixteenth.
	pieces      = 16
	largestStep = 4 << 20
	markSize    = 4 // bytes that the index spends on a message
	stampSize   = 8 // and on each change of the time
)

// Feed is one append-only log. Its methods lock the index, whose own do not.
type Feed struct {
	memory *memory
	view   atomic.Pointer[view]
	mu     sync.Mutex // guards the index; its head may be read without
	index
}

// view is what readers need of the segments; it is replaced, never changed.
type view struct {
	first int64
	parts [][]byte
}

// Far is a distance between two feeds' offsets that neither ever grows across.
const Far = 1 << 40

// New makes an empty feed for a backlog of limit bytes. Its offsets begin at
// begin, a multiple of Far, and the number of its first message will be last+1.
func New(limit, begin int64, last uint64) (*Feed, error) {
	m, err := newMemory()
	if err != nil {
		return nil, fmt.Errorf("make the feed: %w", err)
	}
	size := min(limit/pieces, largestStep)
	size = max(size, int64(os.Getpagesize()))
	f := &Feed{memory: m, index: index{shift: uint(bits.Len64(uint64(size)) - 1), whole: begin, count: last}}
	f.first = begin >> f.shift
	f.head.Store(begin)
	f.view.Store(&view{})
	return f, nil
}

// Head returns where the next message will begin. Any goroutine.
func (f *Feed) Head() int64 { return f.head.Load() }

// Growth is what a caller wants to add to a feed.
type Growth struct {
	Feed     *Feed
	Bytes    int64
	Messages int
	Runs     []Run // as Append has them
}

// Excess returns, for each feed, up to where to drop so that all growths fit and
// the feeds together keep at most limit bytes, indexes included. nil means that
// they fit now. The oldest messages go first, in whichever feed they are. No
// feed may change meanwhile.
func Excess(limit int64, all []Growth) []int64 {
	kept := int64(0)
	for _, g := range all {
		kept += g.keeps()
	}
	if kept <= limit {
		return nil
	}
	drop, some := make([]int, len(all)), false
	for kept > limit {
		oldest, last := -1, uint64(0)
		for i, g := range all {
			if end, ok := g.Feed.lastOf(drop[i]); ok && (oldest < 0 || end < last) {
				oldest, last = i, end
			}
		}
		if oldest < 0 {
			break // the segment at a head always stays
		}
		kept -= all[oldest].Feed.segments[drop[oldest]].cost()
		drop[oldest]++
		some = true
	}
	if !some {
		return nil // one message, in all its encodings, may exceed the limit
	}
	to := make([]int64, len(all))
	for i, g := range all {
		if drop[i] > 0 {
			to[i] = (g.Feed.first + int64(drop[i])) << g.Feed.shift
		}
	}
	return to
}

// keeps returns how many bytes the feed would keep after that growth.
func (g *Growth) keeps() int64 {
	f := g.Feed
	f.mu.Lock()
	defer f.mu.Unlock()
	more := max(0, f.head.Load()+g.Bytes-(f.first+int64(len(f.segments)))<<f.shift)
	segments := (more + f.Segment() - 1) >> f.shift
	kept := f.kept + segments<<f.shift + markSize*int64(g.Messages)
	if g.Messages == 0 {
		return kept
	}
	return kept + stampSize*(segments+1) + f.whenceCost(g.Messages, segments, g.Runs) // at most
}

// lastOf returns the number of the last message that ends in segment i, if segment i
// may be dropped: the one at the head always stays.
func (f *Feed) lastOf(i int) (uint64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i >= len(f.segments)-1 {
		return 0, false
	}
	s := f.segments[i]
	return s.prior + uint64(len(s.ends)), true
}

// Reserve makes sure that an Append of n bytes cannot fail.
func (f *Feed) Reserve(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reach(f.head.Load() + int64(n))
}

// Append adds the messages in p, none of them empty; ends has the offset in p
// just after each, so the last is len(p). at is their time in Unix milliseconds,
// or 0 if it is not needed. runs are their origins; messages after the last run
// have none. Readers see all of them at once. If the system is out of memory,
// Append adds nothing and returns the error.
func (f *Feed) Append(p []byte, ends []int, at int64, runs ...Run) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	head := f.head.Load()
	if err := f.reach(head + int64(len(p))); err != nil {
		return err
	}
	f.write(head, p)
	f.mark(head, ends, at, runs)
	f.head.Store(head + int64(len(p)))
	return nil
}

// write copies p to its offset.
func (f *Feed) write(offset int64, p []byte) {
	for len(p) > 0 {
		n := copy(f.at(offset).bytes[offset&(f.Segment()-1):], p)
		p = p[n:]
		offset += int64(n)
	}
}

// reach adds segments until the feed extends to end.
func (f *Feed) reach(end int64) error {
	for last := f.first + int64(len(f.segments)); last<<f.shift < end; last++ {
		b, err := f.memory.mapAt(last<<f.shift, int(f.Segment()))
		if err != nil {
			return fmt.Errorf("grow the feed: %w", err)
		}
		f.segments = append(f.segments, &segment{bytes: b, prior: f.count})
		f.kept += f.Segment()
		f.show()
	}
	return nil
}

// reachDown adds segments until the feed extends down to begin.
func (f *Feed) reachDown(begin int64) error {
	for begin>>f.shift < f.first {
		b, err := f.memory.mapAt((f.first-1)<<f.shift, int(f.Segment()))
		if err != nil {
			return fmt.Errorf("grow the feed: %w", err)
		}
		f.segments = slices.Insert(f.segments, 0, &segment{bytes: b})
		f.first--
		f.kept += f.Segment()
		f.show()
	}
	return nil
}

// Prepend adds messages, as Append does, before the oldest, whose number must be
// greater than their count. It reports whether it could: once something has been
// dropped it cannot, since the rest of a torn message is in the way.
func (f *Feed) Prepend(p []byte, ends []int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.oldest() - 1
	if f.dropped || uint64(len(ends)) > before {
		return false, nil
	}
	begin := f.whole - int64(len(p))
	if err := f.reachDown(begin); err != nil {
		return false, err
	}
	f.write(begin, p)
	for rest := ends; len(rest) > 0; {
		s := f.at(begin + int64(rest[0]) - 1)
		var marks []uint32
		for len(rest) > 0 && f.at(begin+int64(rest[0])-1) == s {
			marks = append(marks, uint32((begin+int64(rest[0])-1)&(f.Segment()-1))+1)
			rest = rest[1:]
		}
		s.ends = append(marks, s.ends...)
		for i := range s.came {
			s.came[i] += stampOf(len(marks), 0)
		}
		for i := range s.from {
			s.from[i].first += len(marks)
		}
	}
	f.kept += markSize * int64(len(ends))
	f.segments[0].prior = before - uint64(len(ends))
	f.number(1)
	f.whole = begin
	return true, nil
}

// show publishes the current segments to readers.
func (f *Feed) show() {
	v := &view{first: f.first, parts: make([][]byte, len(f.segments))}
	for i, s := range f.segments {
		v.parts[i] = s.bytes
	}
	f.view.Store(v)
}

// Drop frees every whole segment below to, except the one at the head. No reader
// may be below to, now or later.
func (f *Feed) Drop(to int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(int(to>>f.shift-f.first), len(f.segments)-1)
	if n <= 0 {
		return nil
	}
	gone := slices.Clone(f.segments[:n])
	f.segments = slices.Delete(f.segments, 0, n) // clears the end: no index is held on to
	begin := f.first
	f.first += int64(n)
	f.dropped = true
	f.whole = f.firstWhole(gone[n-1])
	f.show()
	var failed error
	for i, s := range gone {
		f.kept -= s.cost()
		failed = errors.Join(failed, f.memory.drop((begin+int64(i))<<f.shift, s.bytes))
	}
	if failed != nil {
		return fmt.Errorf("shrink the feed: %w", failed)
	}
	return nil
}

// Whole returns where the oldest whole message begins.
func (f *Feed) Whole() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.whole
}

// Count returns the number of the last message, which is how many there ever were.
func (f *Feed) Count() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Seq returns the number of the last message that ends at or before offset. If
// it was dropped, that is the last before the oldest whole one. Messages count
// from 1.
func (f *Feed) Seq(offset int64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset < f.first<<f.shift {
		return f.oldest() - 1
	}
	return f.upTo(offset)
}

// Last returns where the last n whole messages begin.
func (f *Feed) Last(n int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if uint64(n) > f.count {
		return f.whole
	}
	return f.beginOf(f.count - uint64(n) + 1)
}

// Begin returns where message seq begins, or the oldest whole one if seq was
// dropped.
func (f *Feed) Begin(seq uint64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beginOf(seq)
}

// Kept is a message that a feed keeps.
type Kept struct {
	Seq   uint64
	At    int64 // when it came, in Unix milliseconds
	Of    *Origin
	Bytes []byte
}

// Each calls yield with each message from number from up to number to; all of
// them must be whole. A message is valid until the next call. None of them may
// be dropped meanwhile.
func (f *Feed) Each(from, to uint64, yield func(m Kept)) {
	begin := f.Begin(from)
	for seq := from; seq <= to; seq++ {
		m := Kept{Seq: seq}
		var end int64
		end, m.At, m.Of = f.endOf(seq)
		m.Bytes = f.Span(begin, end)
		if int64(len(m.Bytes)) < end-begin {
			m.Bytes = f.Read(begin, end)
		}
		yield(m)
		begin = end
	}
}

// endOf returns where message seq ends, when it came, and from whom.
func (f *Feed) endOf(seq uint64) (end, at int64, of *Origin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, n := f.find(seq)
	s := f.segments[i]
	if j := sort.Search(len(s.came), func(j int) bool { return s.came[j].first() > n }) - 1; j >= 0 {
		at = s.came[j].at()
	}
	return (f.first+int64(i))<<f.shift + int64(s.ends[n]), at, s.originOf(n)
}

// Oldest returns the number of the oldest whole message, or of the next one if
// there is none.
func (f *Feed) Oldest() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.oldest()
}

// WholeAt returns the beginning of the message that contains offset, or offset
// itself if it is between two. It is never below the oldest whole message.
func (f *Feed) WholeAt(offset int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := min(offset>>f.shift-f.first, int64(len(f.segments)-1)); i >= 0; i-- {
		s := f.segments[i]
		begin := (f.first + i) << f.shift
		if n := s.endsUpTo(offset - begin); n > 0 {
			return begin + int64(s.ends[n-1])
		}
	}
	return f.whole
}

// EndOf returns the end of the message that contains offset, or offset itself if
// it is between two.
func (f *Feed) EndOf(offset int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset == f.whole || offset == f.head.Load() {
		return offset
	}
	end, ok := f.endAfter(offset - 1)
	if !ok {
		return f.head.Load()
	}
	return end
}

// Span returns the bytes from offset to end, or fewer where a segment ends. They
// are valid until they are dropped. Any goroutine that reads at offset may call it.
func (f *Feed) Span(offset, end int64) []byte {
	v := f.view.Load()
	part := v.parts[offset>>f.shift-v.first]
	from := offset & (f.Segment() - 1)
	return part[from:min(int64(len(part)), from+end-offset)]
}

// Read copies the bytes from offset to end.
func (f *Feed) Read(offset, end int64) []byte {
	p := make([]byte, 0, end-offset)
	for offset < end {
		s := f.Span(offset, end)
		p = append(p, s...)
		offset += int64(len(s))
	}
	return p
}

// File returns the descriptor of the memory file, which has every byte at its
// offset; negative if there is none.
func (f *Feed) File() int { return f.memory.file() }

// Close frees all memory. No goroutine may read any more.
func (f *Feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var failed error
	for i, s := range f.segments {
		failed = errors.Join(failed, f.memory.drop((f.first+int64(i))<<f.shift, s.bytes))
	}
	f.segments = nil
	f.view.Store(&view{})
	return errors.Join(failed, f.memory.close())
}
