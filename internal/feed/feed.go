//go:build unix

// Package feed is the log of what a hub broadcasts: appended once, read by
// every client from where it stands.
//
//	base                whole                                    head
//	 |____________________|________________________________________|
//	 | segment  | segment  | segment  |  …                | segment |
//	      ^ a client far behind                    ^ another        ^ and most
//
// A position is an offset from the feed's beginning, which only grows; a
// client is one such number, its cursor. The bytes stand in segments of a
// memory file at the same offset. Append adds at the head; Drop gives the
// oldest segments back. A byte once appended is never written again, since a
// socket may still refer to it.
//
// Anybody may read below the head at any time without a lock, by Span or from
// the file, as long as he stands above base; it is the caller who knows when
// nobody stands on what is to be dropped. The index (which message ends
// where) is kept behind a lock, for the few questions that need it.
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
	// pieces is in how many segments the backlog is kept: memory comes back
	// in steps of a sixteenth.
	pieces      = 16
	largestStep = 4 << 20
	markSize    = 4 // bytes that the index spends on a message
)

// Feed is one append-only log.
type Feed struct {
	memory *memory
	limit  int64
	shift  uint // a segment is 1<<shift bytes
	head   atomic.Int64
	view   atomic.Pointer[view]

	mu       sync.Mutex
	segments []*segment
	first    int64  // number of segments[0]
	kept     int64  // bytes of the segments and their index
	whole    int64  // where the oldest message that is kept whole begins
	count    uint64 // messages ever appended
}

// view is what readers need of the segments, replaced whole.
type view struct {
	first int64
	parts [][]byte
}

// segment is one piece of the memory and the index of what ends in it.
type segment struct {
	bytes []byte
	prior uint64   // messages that ended before this segment
	ends  []uint32 // for each message that ends here, the offset just past it
}

// New makes an empty feed that keeps at most limit bytes, its index included.
func New(limit int64) (*Feed, error) {
	m, err := newMemory()
	if err != nil {
		return nil, fmt.Errorf("make the feed: %w", err)
	}
	size := min(limit/pieces, largestStep)
	size = max(size, int64(os.Getpagesize()))
	f := &Feed{memory: m, limit: limit, shift: uint(bits.Len64(uint64(size)) - 1)}
	f.view.Store(&view{})
	return f, nil
}

// Head is where the next message will begin. Any goroutine.
func (f *Feed) Head() int64 { return f.head.Load() }

// Segment is the size of the steps in which memory comes and goes.
func (f *Feed) Segment() int64 { return 1 << f.shift }

// Excess says up to where the oldest must be dropped before n more bytes, in
// so many messages, fit; 0 says that they fit now.
func (f *Feed) Excess(n int64, messages int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := max(0, f.head.Load()+n-(f.first+int64(len(f.segments)))<<f.shift)
	segments := (more + f.Segment() - 1) >> f.shift
	kept := f.kept + segments<<f.shift + markSize*int64(messages)
	drop := 0
	// The segment at the head always stays.
	for kept > f.limit && drop < len(f.segments)-1 {
		kept -= f.segments[drop].cost()
		drop++
	}
	if drop == 0 {
		return 0
	}
	return (f.first + int64(drop)) << f.shift
}

// cost leaves out what the index has to spare for its growth, a quarter at most.
func (s *segment) cost() int64 {
	return int64(len(s.bytes) + markSize*len(s.ends))
}

// Append adds messages, none of them empty: p holds them one after the other,
// and ends says for each the offset in p just past it, so the last is len(p).
// They are visible to readers all at once. The error is the system's that has
// no more memory; then nothing was added.
func (f *Feed) Append(p []byte, ends []int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	head := f.head.Load()
	if err := f.reach(head + int64(len(p))); err != nil {
		return err
	}
	for rest, at := p, head; len(rest) > 0; {
		n := copy(f.at(at).bytes[at&(f.Segment()-1):], rest)
		rest = rest[n:]
		at += int64(n)
	}
	f.mark(head, ends)
	f.head.Store(head + int64(len(p)))
	return nil
}

// reach adds segments until the feed reaches to end.
func (f *Feed) reach(end int64) error {
	for last := f.first + int64(len(f.segments)); last<<f.shift < end; last++ {
		b, err := f.memory.mapAt(last<<f.shift, int(f.Segment()))
		if err != nil {
			return fmt.Errorf("grow the feed: %w", err)
		}
		f.segments = append(f.segments, &segment{bytes: b})
		f.kept += f.Segment()
		f.show()
	}
	return nil
}

// at is the segment that holds the byte at offset.
func (f *Feed) at(offset int64) *segment {
	return f.segments[offset>>f.shift-f.first]
}

// mark enters messages in the index. One that ends with a segment belongs to
// that segment.
func (f *Feed) mark(head int64, ends []int) {
	for _, end := range ends {
		last := head + int64(end) - 1
		s := f.at(last)
		s.ends = append(s.ends, uint32(last&(f.Segment()-1))+1)
	}
	f.count += uint64(len(ends))
	f.kept += markSize * int64(len(ends))
	// Every segment from here on needs its number, also one in which no
	// message ends.
	for i := max(1, head>>f.shift-f.first); i < int64(len(f.segments)); i++ {
		before := f.segments[i-1]
		f.segments[i].prior = before.prior + uint64(len(before.ends))
	}
}

// show gives readers the segments as they are now.
func (f *Feed) show() {
	v := &view{first: f.first, parts: make([][]byte, len(f.segments))}
	for i, s := range f.segments {
		v.parts[i] = s.bytes
	}
	f.view.Store(v)
}

// Drop gives back every whole segment below to, but never the one at the
// head. The caller knows that nobody stands below to any more, nor ever will.
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

// firstWhole is where the oldest whole message begins when last is the
// youngest segment that has gone.
func (f *Feed) firstWhole(last *segment) int64 {
	base := f.first << f.shift
	if n := len(last.ends); n > 0 && int64(last.ends[n-1]) == f.Segment() {
		return base
	}
	if end, ok := f.endAfter(base); ok {
		return end
	}
	return f.head.Load()
}

// Whole is where the oldest message that is kept whole begins.
func (f *Feed) Whole() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.whole
}

// Count is how many messages were ever appended.
func (f *Feed) Count() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Seq is the number of the last message that ends at or before offset, which
// is not below base. Messages count from 1.
func (f *Feed) Seq(offset int64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := int(offset>>f.shift - f.first)
	if i >= len(f.segments) {
		return f.count
	}
	s := f.segments[i]
	return s.prior + uint64(s.endsUpTo(offset&(f.Segment()-1)))
}

// endsUpTo is how many messages end at or before the offset in this segment.
func (s *segment) endsUpTo(offset int64) int {
	return sort.Search(len(s.ends), func(i int) bool { return int64(s.ends[i]) > offset })
}

// Last is where the last n messages that are kept whole begin.
func (f *Feed) Last(n int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if uint64(n) > f.count {
		return f.whole
	}
	return f.beginOf(f.count - uint64(n) + 1)
}

// Begin is where message seq begins, or, where it is gone, the oldest whole one.
func (f *Feed) Begin(seq uint64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.beginOf(seq)
}

// beginOf is where message seq-1 ends.
func (f *Feed) beginOf(seq uint64) int64 {
	if seq > f.count {
		return f.head.Load()
	}
	// The last segment that has not more than seq-1 messages before it.
	i := sort.Search(len(f.segments), func(i int) bool { return f.segments[i].prior >= seq-1 }) - 1
	if i < 0 {
		return f.whole
	}
	s := f.segments[i]
	nth := seq - 1 - s.prior
	if nth > uint64(len(s.ends)) {
		return f.whole
	}
	return (f.first+int64(i))<<f.shift + int64(s.ends[nth-1])
}

// WholeAt is the beginning of the message that offset stands in, or offset
// itself between two. It is never below the oldest whole message.
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

// EndOf is the end of the message that offset stands in, or offset itself
// between two messages.
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

// endAfter is the first message end above offset.
func (f *Feed) endAfter(offset int64) (int64, bool) {
	for i := max(0, offset>>f.shift-f.first); i < int64(len(f.segments)); i++ {
		s := f.segments[i]
		begin := (f.first + i) << f.shift
		if n := s.endsUpTo(offset - begin); n < len(s.ends) {
			return begin + int64(s.ends[n]), true
		}
	}
	return 0, false
}

// Span is the bytes from offset on, as far as they lie in one piece, at most
// up to end. They stay as they are until they are dropped. Any goroutine that
// stands at offset.
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

// File is the descriptor of the memory file, in which every byte stands at
// its offset; less than 0 where there is none.
func (f *Feed) File() int { return f.memory.file() }

// Close gives all memory back. Nobody may read any more.
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
