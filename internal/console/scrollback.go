package console

import (
	"sync"
	"sync/atomic"
	"time"
)

// This file is what the console remembers: the feed's idea once more, with the
// terminal as its only client. Whoever has something to show appends it and is
// done; the painter has a cursor, and when it is lapped, it says by how many.
//
// There are two rolls, so that a flood of messages does not carry away an
// answer, or what the log says. What is drawn at a time is drawn in the order
// in which it came.

// kind is where an entry comes from, and so how it looks.
type kind uint8

const (
	fromClient kind = iota // a message
	fromLog                // the program's own log
	typed                  // what the operator typed
	answer                 // what came of it
	failure                // the same, when it did not work
	remembered             // a message once more, with its time
)

// entry is one line, or several, of the scroll-back. It does not change.
type entry struct {
	kind kind
	came uint64 // in which order, whatever the roll
	at   time.Time
	id   uint64
	name string
	text []byte
	more int // bytes of the message that text does not have
	hang int // cells by which its second row goes in
}

// roll is a bounded scroll-back. It may be used from any goroutine.
type roll struct {
	max   int            // entries
	space int            // bytes
	came  *atomic.Uint64 // all rolls together

	mu      sync.Mutex
	entries []entry // as a ring: number n stands at n % max
	first   uint64  // the oldest that is kept
	head    uint64  // the next one's number
	drawn   uint64  // the next one to draw
	bytes   int
	lapped  uint64 // entries that went before they were drawn, since take told
}

func newRoll(entries, bytes int, came *atomic.Uint64) *roll {
	return &roll{max: entries, space: bytes, came: came, entries: make([]entry, entries)}
}

// add appends e, whose text is the roll's from now on, and lets go of the
// oldest to make room.
func (r *roll) add(e entry) {
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

// taken is what the painter is to draw.
type taken struct {
	entries []entry
	lapped  uint64 // went undrawn before these
	hidden  uint64 // that the filter kept back
	more    bool   // is to be drawn after these
}

// take appends to into what comes next, but no more than so many entries and
// so many bytes of text; one more may be over.
func (r *roll) take(into []entry, entries, bytes int, f filter) taken {
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

// waiting is how many are not drawn yet, and how many will never be since take
// told last.
func (r *roll) waiting() (undrawn, lapped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head - r.drawn, r.lapped
}

// last is the newest of what has been drawn, or been passed over, that f
// shows; the oldest first.
func (r *roll) last(n int, f filter) []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []entry
	for i := r.drawn; i > r.first && len(found) < n; i-- {
		if e := r.entries[(i-1)%uint64(r.max)]; f.shows(e) {
			found = append(found, e)
		}
	}
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}
