//go:build unix

package feed

// This file is where messages are in a feed. Whoever calls it holds the lock.

import (
	"sort"
	"sync/atomic"
)

// index is where the messages of a feed are, when they came, and from whom.
type index struct {
	shift    uint // a segment is 1<<shift bytes
	head     atomic.Int64
	segments []*segment
	first    int64  // number of segments[0]
	kept     int64  // bytes of the segments and their index
	whole    int64  // where the oldest message that is kept whole begins
	count    uint64 // the number of the last message
	dropped  bool   // something has been dropped
	places   places // in the last table of origins
}

// segment is one piece of the memory and the index of the messages that end in it.
type segment struct {
	bytes []byte
	prior uint64   // the number of the last message that ended before this segment
	ends  []uint32 // for each message that ends here, the offset just past it
	came  []stamp  // when these came, oldest first
	from  []whence // and from whom, likewise; messages before the first have no origin
}

// stamp says when messages came, those from one of a segment's up to the next
// stamp's: its index in ends, above the Unix milliseconds. There is room for that
// of the longest segment's last, and for the time until 2109.
type stamp uint64

const (
	timeBits = 42
	latest   = 1<<timeBits - 1
)

func stampOf(n int, at int64) stamp { return stamp(n)<<timeBits | stamp(at) }

func (s stamp) first() int { return int(s >> timeBits) }

func (s stamp) at() int64 { return int64(s & latest) }

// cost ignores the index's spare capacity, at most a quarter.
func (s *segment) cost() int64 {
	n := int64(len(s.bytes) + markSize*len(s.ends) + stampSize*len(s.came))
	for i := range s.from {
		n += s.from[i].cost()
	}
	return n
}

// Segment returns the size of the steps in which memory comes and goes.
func (x *index) Segment() int64 { return 1 << x.shift }

// at returns the segment that holds the byte at offset.
func (x *index) at(offset int64) *segment {
	return x.segments[offset>>x.shift-x.first]
}

// mark indexes messages. A message that ends where a segment ends belongs to
// that segment.
func (x *index) mark(head int64, ends []int, at int64, runs []Run) {
	if at != 0 {
		at = min(max(at, 1), latest) // a clock may be wrong
	}
	origins := Origins{Runs: runs}
	for _, end := range ends {
		of := origins.Next()
		last := head + int64(end) - 1
		s := x.at(last)
		if n := len(s.came); at != 0 && (n == 0 || s.came[n-1].at() != at) {
			s.came = append(s.came, stampOf(len(s.ends), at))
			x.kept += stampSize
		}
		x.markOrigin(s, of)
		s.ends = append(s.ends, uint32(last&(x.Segment()-1))+1)
	}
	x.count += uint64(len(ends))
	x.kept += markSize * int64(len(ends))
	x.number(head>>x.shift - x.first)
}

// number sets prior in every segment from this one on, including those in which
// no message ends.
func (x *index) number(from int64) {
	for i := max(1, from); i < int64(len(x.segments)); i++ {
		before := x.segments[i-1]
		x.segments[i].prior = before.prior + uint64(len(before.ends))
	}
}

// oldest returns the number of the oldest whole message, or of the next one if there
// is none.
func (x *index) oldest() uint64 { return x.upTo(x.whole) + 1 }

// upTo returns the number of the last message that ends at or before offset; offset
// is not below base.
func (x *index) upTo(offset int64) uint64 {
	i := int(offset>>x.shift - x.first)
	if i >= len(x.segments) {
		return x.count
	}
	s := x.segments[i]
	return s.prior + uint64(s.endsUpTo(offset&(x.Segment()-1)))
}

// endsUpTo returns how many messages end at or before the offset in this segment.
func (s *segment) endsUpTo(offset int64) int {
	return sort.Search(len(s.ends), func(i int) bool { return int64(s.ends[i]) > offset })
}

// firstWhole returns where the oldest whole message begins if last is the youngest
// dropped segment.
func (x *index) firstWhole(last *segment) int64 {
	base := x.first << x.shift
	if n := len(last.ends); n > 0 && int64(last.ends[n-1]) == x.Segment() {
		return base
	}
	if end, ok := x.endAfter(base); ok {
		return end
	}
	return x.head.Load()
}

// beginOf returns where message seq-1 ends.
func (x *index) beginOf(seq uint64) int64 {
	if seq > x.count {
		return x.head.Load()
	}
	i, n := x.find(seq - 1)
	if i < 0 {
		return x.whole
	}
	return (x.first+int64(i))<<x.shift + int64(x.segments[i].ends[n])
}

// find returns the segment in which message seq ends, and the index of its mark
// there; negative if it was dropped.
func (x *index) find(seq uint64) (segment, mark int) {
	// The last segment with fewer than seq messages before it.
	i := sort.Search(len(x.segments), func(i int) bool { return x.segments[i].prior >= seq }) - 1
	if i < 0 || seq-x.segments[i].prior > uint64(len(x.segments[i].ends)) {
		return -1, 0
	}
	return i, int(seq - x.segments[i].prior - 1)
}

// endAfter returns the first message end above offset.
func (x *index) endAfter(offset int64) (int64, bool) {
	for i := max(0, offset>>x.shift-x.first); i < int64(len(x.segments)); i++ {
		s := x.segments[i]
		begin := (x.first + i) << x.shift
		if n := s.endsUpTo(offset - begin); n < len(s.ends) {
			return begin + int64(s.ends[n]), true
		}
	}
	return 0, false
}
