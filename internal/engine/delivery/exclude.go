//go:build unix

package delivery

// This file skips messages that a client must not get. The index of the feed says
// which these are.

import (
	"sync/atomic"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/feed"
)

// lookAhead is how many messages are checked at a time: publishers wait meanwhile.
const lookAhead = 1 << 16

// exclusion has what one client must not get.
type exclusion struct {
	id    uint64
	last  atomic.Uint64 // the last such message; 0: none follows
	clear int64         // up to here the client gets everything
}

// pass moves the cursor past messages that its client must not get, and returns where
// the next of them may be, end at most. No message is checked twice, however little
// the client takes at a time. A client that counts messages is told.
func (x *exclusion) pass(c *Cursor, f *feed.Feed, end int64) int64 {
	last := x.last.Load()
	if last == 0 {
		return end
	}
	for c.pos < end {
		if c.pos < x.clear {
			return min(end, x.clear)
		}
		next := f.Seq(c.pos) + 1
		if next > last {
			x.last.CompareAndSwap(last, 0)
			return end
		}
		far := min(last, next+lookAhead, f.Seq(end)) // there may be more by now, which last does not tell of
		first, to := f.Excluded(next, far, x.id)
		if to == 0 {
			first = far + 1
		}
		if begin := f.Begin(first); begin > c.pos {
			x.clear = begin
			continue
		}
		c.pos = f.Begin(to + 1)
		if c.own == backlog.V1 {
			control := c.Control()
			control.Notices = codec.AppendPassed(control.Notices, to)
		}
	}
	return end
}
