package console

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is what the console remembers: the idea of the feed again, with the
// terminal as its only client. Show appends and returns; the painter has a
// cursor, and when it is lapped, it reports by how many entries.
//
// There are two scrollbacks, so that a flood of messages does not push out an
// answer or a line of the log. Each picture draws its entries in the order in
// which they came.

// kind is where an entry comes from; it decides how the entry looks.
type kind uint8

const (
	message    kind = iota // what a client sent
	logged                 // a line of the program's log
	typed                  // what the operator typed
	answer                 // what a command answered
	failure                // why it failed
	remembered             // a message shown again, with its time
)

// entry is one or several lines. It does not change.
type entry struct {
	kind kind
	came uint64 // its number among the entries of both scrollbacks
	at   time.Time
	id   uint64
	name string
	text []byte
	more int // bytes of the message that are not in text
	hang int // indent of its second row, in cells
}

// scrollback is a bounded list of entries. It may be used from any goroutine.
type scrollback struct {
	max   int            // entries
	space int            // bytes
	came  *atomic.Uint64 // counts the entries of both

	mu      sync.Mutex
	entries []entry // a ring: entry n is at n % max
	first   uint64  // number of the oldest entry
	head    uint64  // number of the next entry
	drawn   uint64  // number of the next entry to draw
	bytes   int
	lapped  uint64 // entries dropped undrawn since the last take
}

func newScrollback(entries, bytes int, came *atomic.Uint64) *scrollback {
	return &scrollback{max: entries, space: bytes, came: came, entries: make([]entry, entries)}
}

// add appends e and drops the oldest entries to make room. It keeps e.text.
func (r *scrollback) add(e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.head > r.first && (r.head-r.first == uint64(r.max) || r.bytes+e.size() > r.space) {
		oldest := &r.entries[r.first%uint64(r.max)]
		r.bytes -= oldest.size()
		*oldest = entry{}
		if r.drawn == r.first {
			r.drawn++
			r.lapped++
		}
		r.first++
	}
	e.came = r.came.Add(1)
	r.entries[r.head%uint64(r.max)] = e
	r.head++
	r.bytes += e.size()
}

func (e *entry) size() int { return len(e.text) + len(e.name) }

// taken is what the painter draws next.
type taken struct {
	entries []entry
	lapped  uint64 // entries dropped before these
	hidden  uint64 // messages the filter hid
	more    bool   // more entries follow
}

// take appends the next entries to into: at most so many entries, and bytes of
// text, which the last entry may exceed.
func (r *scrollback) take(into []entry, entries, bytes int, f filter) taken {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := taken{entries: into, lapped: r.lapped}
	r.lapped = 0
	for ; r.drawn < r.head && len(t.entries) < entries && bytes > 0; r.drawn++ {
		e := r.entries[r.drawn%uint64(r.max)]
		if !f.shows(e) {
			t.hidden++
			continue
		}
		t.entries = append(t.entries, e)
		bytes -= e.size()
	}
	t.more = r.drawn < r.head
	return t
}

// waiting returns how many entries are not drawn yet, and how many were dropped since
// the last take.
func (r *scrollback) waiting() (undrawn, lapped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head - r.drawn, r.lapped
}

// last returns the newest n entries before the cursor that f shows, oldest first.
func (r *scrollback) last(n int, f filter) []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []entry
	for i := r.drawn; i > r.first && len(found) < n; i-- {
		if e := r.entries[(i-1)%uint64(r.max)]; f.shows(e) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}
