// Package quota limits the bytes held for all clients together.
//
// Each client's part is a Share. Shares are the only way to change a Quota, so
// a client that ends gives back exactly what it took. When a Quota is over its
// limit, the holder of the largest share must give something back, whichever
// loop it belongs to, and not the one whose byte happened to be too much: the
// shards elect it.
//
//	Elect  begins an election, unless one is under way; every shard must offer
//	Offer  a shard names its largest share; the last one tells who won
//	Done   the winner has acted
package quota

import (
	"sync"
	"sync/atomic"
)

// Quota is a limit for all its shares together. Any goroutine may call its methods.
type Quota struct {
	limit int64
	used  atomic.Int64

	mu      sync.Mutex // guards the election
	pending int        // offers still to come, and then Done; 0: no election
	most    int        // the largest offer so far
	winner  int        // who made it
}

// New makes a quota of limit bytes.
func New(limit int64) *Quota { return &Quota{limit: limit} }

// Over reports whether more bytes are held than the limit allows.
func (q *Quota) Over() bool { return q.used.Load() > q.limit }

// Used returns how many bytes are held.
func (q *Quota) Used() int64 { return q.used.Load() }

// Elect begins an election among shards shards. If it returns true, the caller must
// have each of them offer once.
func (q *Quota) Elect(shards int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending > 0 {
		return false
	}
	q.pending, q.most, q.winner = shards+1, -1, 0
	return true
}

// Offer names the largest share of a shard, 0 if it has none. After the last
// offer, the winner must act and call Done.
func (q *Quota) Offer(shard, most int) (winner int, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if most > q.most {
		q.most, q.winner = most, shard
	}
	q.pending--
	return q.winner, q.pending == 1
}

// Done ends the election, so that another can begin.
func (q *Quota) Done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = 0
}

// Share is the part of a quota that one client holds. The zero Share holds
// nothing; the first Grow ties it to its quota. Only its owner may touch it.
type Share struct {
	of   *Quota
	held int
}

// Held returns how many bytes the share has.
func (s *Share) Held() int { return s.held }

// Grow adds n bytes of q, which it may push over the limit, and reports
// whether q is over.
func (s *Share) Grow(q *Quota, n int) (over bool) {
	if s.of != q && s.held > 0 {
		panic("quota: a share of one quota grew from another")
	}
	s.of = q
	s.held += n
	return q.used.Add(int64(n)) > q.limit
}

// TryGrow adds n bytes of q, unless that would push it over the limit.
func (s *Share) TryGrow(q *Quota, n int) bool {
	over := s.Grow(q, n)
	if over {
		s.Shrink(n)
	}
	return !over
}

// Resize makes the share n bytes of q. It is false if it had to grow for that
// and q is over now.
func (s *Share) Resize(q *Quota, n int) bool {
	if n <= s.held {
		s.Shrink(s.held - n)
		return true
	}
	return !s.Grow(q, n-s.held)
}

// Shrink gives n bytes back.
func (s *Share) Shrink(n int) {
	if n > s.held {
		panic("quota: a share shrank below nothing")
	}
	if n == 0 {
		return // also of the zero Share
	}
	s.held -= n
	s.of.used.Add(-int64(n))
}

// Release gives everything back.
func (s *Share) Release() { s.Shrink(s.held) }
