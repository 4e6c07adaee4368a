//go:build unix

package feed

// This file records the origin of messages and the clients excluded from them:
//
//	Origin      has both
//	markOrigin  records a message's origin: its index in a segment's table
//	Excluded      finds the messages that a client does not get
//
// The index counts towards the backlog. Even the shortest messages, each of
// another origin than the one before, must fit there while they are all in the
// head segment. So a place, an index into the table, is two bytes.

import (
	"slices"
	"sort"
)

const (
	whenceSize = 56 // bytes that the index spends on a whence
	placeSize  = 2  // and on each message in it
	entrySize  = 8  // and on each origin in its table
	originSize = 56 // and on one that is made for a few messages

	// mostOrigins is how many are in one table.
	mostOrigins = 1 << 14
)

// Origin is the sender of messages and the clients that do not get them. A feed
// keeps the pointer, so an Origin must not change. One serves for all messages of
// a client.
type Origin struct {
	ID   uint64   // the sender's; 0: not a client
	Name string   // its name at the time
	Not  []uint64 // the clients that do not get the messages, in ascending order
}

// cost returns what o adds where it is made for a few messages.
func (o *Origin) cost() int64 {
	if o == nil || o.ID != 0 {
		return 0
	}
	return int64(originSize + 8*len(o.Not))
}

// excludes reports whether client id does not get messages of o.
func (o *Origin) excludes(id uint64) bool {
	if o == nil {
		return false
	}
	_, is := slices.BinarySearch(o.Not, id)
	return is
}

// Run is a number of messages of one origin; nil: without an origin.
type Run struct {
	Messages int
	Of       *Origin
}

// Origins iterates over runs message by message. After the last it yields nil.
type Origins struct {
	Runs []Run
	done int // of the first
}

// Next returns the next message's.
func (o *Origins) Next() *Origin {
	for len(o.Runs) > 0 && o.done == o.Runs[0].Messages {
		o.Runs, o.done = o.Runs[1:], 0
	}
	if len(o.Runs) == 0 {
		return nil
	}
	o.done++
	return o.Runs[0].Of
}

// whence is the origins of some messages of a segment, up to the next whence.
type whence struct {
	first int // index in ends
	table []*Origin
	whose []uint16 // for each message, its origin's place in table
}

// places maps origins to their place in a table.
type places map[*Origin]uint16

func (w *whence) cost() int64 {
	n := int64(whenceSize + placeSize*len(w.whose) + entrySize*len(w.table))
	for _, o := range w.table {
		n += o.cost()
	}
	return n
}

// of returns the origin of the message with the n-th mark, which is in w.
func (w *whence) of(n int) *Origin { return w.table[w.whose[n-w.first]] }

// over returns the mark after w's last.
func (w *whence) over() int { return w.first + len(w.whose) }

// markOrigin records the origin of the message about to be marked in s, the
// youngest segment. Messages before the first one with an origin need no entry.
func (x *index) markOrigin(s *segment, of *Origin) {
	if len(s.from) == 0 {
		if of == nil {
			return
		}
		x.beginWhence(s)
	}
	w := &s.from[len(s.from)-1]
	place, ok := w.samePlace(of)
	if !ok {
		place, ok = x.places[of]
	}
	if !ok {
		if len(w.table) == mostOrigins {
			w = x.beginWhence(s)
		}
		place = uint16(len(w.table))
		w.table = append(w.table, of)
		x.places[of] = place
		x.kept += entrySize + of.cost()
	}
	w.whose = append(w.whose, place)
	x.kept += placeSize
}

// samePlace is of's place if the last message had the same origin.
func (w *whence) samePlace(of *Origin) (place uint16, same bool) {
	n := len(w.whose)
	if n == 0 {
		return 0, false
	}
	place = w.whose[n-1]
	return place, w.table[place] == of
}

// beginWhence begins a table with the next message of s.
func (x *index) beginWhence(s *segment) *whence {
	x.places = places{}
	s.from = append(s.from, whence{first: len(s.ends)})
	x.kept += whenceSize
	return &s.from[len(s.from)-1]
}

// whenceCost returns the most that these runs of messages add to the index when they
// need this many more segments.
func (x *index) whenceCost(messages int, segments int64, runs []Run) int64 {
	last := x.head.Load() - 1
	said := last >= x.first<<x.shift && len(x.at(last).from) > 0
	all, most := int64(0), int64(0)
	for _, r := range runs {
		said = said || r.Of != nil
		cost := entrySize + r.Of.cost()
		all, most = all+cost, max(most, cost)
	}
	if !said {
		return 0
	}
	// Messages after the last run need an entry too. A run that continues in
	// another segment needs one more there.
	tables := segments + 2 + int64(len(runs))/mostOrigins
	return placeSize*int64(messages) + all + entrySize + max(most, entrySize)*segments + whenceSize*tables
}

// originOf returns the origin of the message with the n-th mark.
func (s *segment) originOf(n int) *Origin {
	i := sort.Search(len(s.from), func(i int) bool { return s.from[i].first > n }) - 1
	if i < 0 {
		return nil
	}
	return s.from[i].of(n)
}

// Excluded returns the first run of messages between from and to that client id
// does not get: first to last. last is 0 if there is none.
func (f *Feed) Excluded(from, to, id uint64) (first, last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to = min(to, f.count)
	first = f.seek(max(from, f.oldest()), to, id, true)
	if first > to {
		return 0, 0
	}
	return first, f.seek(first+1, to, id, false) - 1
}

// seek returns the first message between seq and to that client id does not get,
// or does get. The result is greater than to if there is none.
func (x *index) seek(seq, to, id uint64, barred bool) uint64 {
	for seq <= to {
		i, n := x.find(seq)
		s := x.segments[i]
		end := int(min(to-s.prior, uint64(len(s.ends))))
		if n = s.seek(n, end, id, barred); n < end {
			return s.prior + uint64(n) + 1
		}
		seq = s.prior + uint64(end) + 1
	}
	return seq
}

// seek does the same among the marks from the n-th up to end.
func (s *segment) seek(n, end int, id uint64, barred bool) int {
	for i := range s.from {
		w := &s.from[i]
		if n < w.first && !barred {
			return n
		}
		n = max(n, min(w.first, end))
		for over := min(w.over(), end); n < over; n++ {
			if w.of(n).excludes(id) == barred {
				return n
			}
		}
	}
	if barred {
		return end
	}
	return n
}
