//go:build unix

package hubbub

// This file acts on clients that lag; slow.go decides:
//
//	vacate        clients must leave what the backlog wants to trim
//	watchLagging  the head has come so far that somebody may lag far
//	judge         samples what those take, a few times in a Patience
//	cutAtLunch    ends one that would hold the source and takes too little
//	skip          moves one on to what is kept
//	resumed       says what it missed
//
// It is here and not where bytes are sent: a stalled socket never becomes
// writable, so it would never be looked at there.

import (
	"time"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// lag is how many bytes of its feed c has not been sent.
func (l *loop) lag(c *client) int64 { return l.feed(c).Head() - c.cursor }

// vacate sees to it that no client of this loop needs what is to go.
func (l *loop) vacate() {
	l.watchLagging()
	to, some := l.mark.Asked()
	if !some {
		return
	}
	if c := l.holder; c != nil && l.stands(c, &to) && !l.cutAtLunch(c) {
		l.watchHolders() // the one that held it last still does
		return
	}
	l.holder = nil
	var tails tails
	for _, c := range l.clients {
		if !l.stands(c, &to) {
			continue
		}
		switch l.hub.o.Slow {
		case SlowWait:
			if l.cutAtLunch(c) {
				continue
			}
			l.holder = c
			l.watchHolders()
			return
		case SlowCut:
			l.cut(c, ending.Because(proto.ReasonLapped, "lapped (%s behind)", quantity.Bytes(l.lag(c))))
		case SlowSkip:
			l.skip(c, to[c.form()], &tails)
		}
	}
	if !l.holdStrangers(to[backlog.Canonical]) {
		l.mark.Left(&to)
	}
}

// stands says that c stands in what is to go.
func (l *loop) stands(c *client, to *[backlog.Encodings]int64) bool {
	return c.streams() && c.cursor < to[c.form()]
}

// watchLagging has the clients looked at when one of them may lag far. As long
// as none can, that costs a comparison a turn and no timer.
func (l *loop) watchLagging() {
	if l.hub.o.Slow != SlowWait || l.nextJudge.IsSet() {
		return
	}
	for f := range l.watchFrom {
		if feed := l.hub.backlog.Feed(backlog.Encoding(f)); feed != nil && feed.Head() >= l.watchFrom[f] {
			l.nextJudge.In(l.lookEvery())
			return
		}
	}
}

// watchHolders has clients judged as long as they hold a source.
func (l *loop) watchHolders() {
	if !l.nextJudge.IsSet() && l.hub.backlog.Blocked() {
		l.nextJudge.In(l.lookEvery())
	}
}

// lookEvery is the time between two looks.
func (l *loop) lookEvery() time.Duration { return l.hub.o.Patience / looks }

// judge looks at every client that lags far. It is called again as long as
// there is one and either the head moves or the source is held.
func (l *loop) judge() {
	var v backlog.View
	l.hub.backlog.View(&v)
	far, most := v.Share()/farBehind, [backlog.Encodings]int64{}
	for _, c := range l.clients {
		f := c.form()
		switch lag := v.Head(f) - c.cursor; {
		case !c.streams():
		case lag > far, c.cursor < v.Target(f): // short messages fill the backlog with their index: then less is far
			l.look(c, &v)
			most[f] = far
		default:
			most[f] = max(most[f], lag)
			c.stopLooking()
		}
	}
	for f := range most {
		l.watchFrom[f] = v.Head(backlog.Encoding(f)) + max(far-most[f], 1)
		if most[f] == far {
			l.watchHolders()
		}
	}
}

// look samples what c takes.
func (l *loop) look(c *client, v *backlog.View) {
	x := c.more()
	if x.progress == nil {
		x.progress = &progress{}
	}
	if x.progress.look(l.Now(), c.link.Acknowledged(), l.lookEvery()) == 0 {
		c.link.NarrowUnsent()
	}
	if c.cursor < v.Target(c.form()) {
		l.cutAtLunch(c)
	}
}

func (c *client) stopLooking() {
	if c.extra != nil && c.extra.progress != nil {
		c.extra.progress = nil
		c.tidy()
	}
}

// cutAtLunch ends c, which stands in what is to go, if a source is held and c
// is at lunch.
func (l *loop) cutAtLunch(c *client) bool {
	o := &l.hub.o
	if !l.hub.backlog.Blocked() || c.extra == nil || c.extra.progress == nil {
		return false
	}
	p := c.extra.progress
	if !p.atLunch(o.Patience, o.MinRate) || !p.still(l.Now(), c.link.Acknowledged(), o.Patience, o.MinRate) {
		return false
	}
	l.cut(c, ending.Because(proto.ReasonSlow, "at lunch (%s behind, took less than %s/s over the last %s)", quantity.Bytes(l.lag(c)), quantity.Bytes(o.MinRate), o.Patience))
	return true
}

// tails are copies of the ends of messages that are about to go, by where they
// end. Clients that stall do so together, inside the same few: they share them.
type tails map[tail][]byte

type tail struct {
	of  *feed.Feed
	end int64
}

func (t *tails) of(f *feed.Feed, from, end int64) []byte {
	if *t == nil {
		*t = tails{}
	}
	at := tail{f, end}
	if int64(len((*t)[at])) < end-from {
		(*t)[at] = f.Read(from, end)
	}
	p := (*t)[at]
	return p[int64(len(p))-(end-from):]
}

// skip moves c on to the oldest message that begins at or above to. If it
// stands inside one it first gets the rest of that, from a copy.
func (l *loop) skip(c *client, to int64, tails *tails) {
	f := l.feed(c)
	x := c.more()
	end := f.EndOf(c.cursor)
	if rest := end - c.cursor; rest > 0 {
		if !x.kept.TryGrow(l.hub.rests, int(rest)) {
			l.cut(c, ending.Because(proto.ReasonLapped, "lapped inside a message (%s behind), and what such clients must still get of theirs fills another backlog", quantity.Bytes(l.lag(c))))
			return
		}
		x.rest = tails.of(f, c.cursor, end)
	}
	next := max(end, f.EndOf(to))
	missed := int64(f.Seq(next) - f.Seq(end))
	if missed > 0 && x.missed == 0 {
		l.hub.log.Warnf("client %d is lapped and skips messages (%s behind)", c.ID(), quantity.Bytes(l.lag(c)))
	}
	c.cursor = next
	x.missed += missed
	x.skipped += missed
	l.stats.skipped += missed
	c.tidy()
}

// resumed says how many messages c has missed, once it goes on behind them or
// ends: however long it was away, it is one hole that it sees.
func (l *loop) resumed(c *client) {
	if x := c.extra; x != nil && x.missed > 0 {
		l.hub.log.Warnf("client %d skipped %s", c.ID(), quantity.Count(x.missed, "message"))
		x.missed = 0
		c.tidy()
	}
}
