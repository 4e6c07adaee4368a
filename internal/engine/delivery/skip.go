//go:build unix

package delivery

// This file moves lapped clients that may miss messages (Skip).

import (
	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/feed"
)

// Tails are copies of the ends of messages that are about to be trimmed. Clients that
// stall together are inside the same few messages, and share them.
type Tails map[tail][]byte

type tail struct {
	of  *feed.Feed
	end int64
}

func (t *Tails) of(f *feed.Feed, from, end int64) []byte {
	if *t == nil {
		*t = Tails{}
	}
	at := tail{f, end}
	if int64(len((*t)[at])) < end-from {
		(*t)[at] = f.Read(from, end)
	}
	p := (*t)[at]
	return p[int64(len(p))-(end-from):]
}

// Skip moves a cursor to the first message that is not to be trimmed. If the cursor is
// inside a message, the client first gets the rest of that from a copy; if there is no
// room for the copy, the client ends for the reason. Began reports whether this is the
// first message that it misses since it last received one.
func (p *Policy) Skip(c *Cursor, v *backlog.View, tails *Tails) (f Facts, began bool, e ending.Reason) {
	return p.skip(c, v.Feed(c.reads), v.Target(c.reads), tails)
}

func (p *Policy) skip(c *Cursor, in *feed.Feed, to int64, tails *Tails) (f Facts, began bool, e ending.Reason) {
	m := c.need()
	end := in.EndOf(c.pos)
	if rest := end - c.pos; rest > 0 {
		if !m.kept.TryGrow(p.Kept, int(rest)) {
			return f, false, ending.LappedInside(in.Head() - c.pos)
		}
		m.tail = tails.of(in, c.pos, end)
	}
	next := max(end, in.EndOf(to))
	missed := int64(in.Seq(next) - in.Seq(end))
	began = missed > 0 && m.missed == 0
	c.pos = next
	m.miss(c, missed)
	f, m.facts = m.facts, Facts{}
	c.tidy()
	return f, began, ending.Reason{}
}

// miss counts messages that the client has missed.
func (m *more) miss(c *Cursor, n int64) {
	m.missed += n
	m.facts.Missed += n
	c.first += uint32(n)
}

// noteMissed tells the client what it has missed, where its encoding can.
func (m *more) noteMissed(c *Cursor, f *feed.Feed) {
	if m.missed == 0 {
		return
	}
	switch c.own {
	case backlog.V1:
		x := c.Control()
		x.Notices = codec.AppendSkipped(x.Notices, m.missed, f.Seq(c.pos))
	case backlog.SSE:
		x := c.Control()
		x.Notices = codec.AppendSkippedEvent(x.Notices, m.missed)
	default:
		return // it is told when the feed is sent again
	}
	m.facts.Resumed, m.missed = m.facts.Resumed+m.missed, 0
}
