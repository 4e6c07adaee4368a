//go:build unix

package engine

// This file acts on clients that lag; package delivery judges them:
//
//	trim          clients must leave what the backlog wants to trim
//	watchLagging  the head has come so far that somebody may lag far
//	sample        looks at what those take, a few times in a Patience
//	judge         one client that stands in what is to go

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/quantity"
)

// lag is how many bytes of its feed c has not been sent.
func (l *shard) lag(c *client) int64 {
	return l.engine.backlog.Feed(c.out.Encoding()).Head() - c.out.Offset()
}

// trim sees to it that no client of this loop needs what is to be trimmed.
func (l *shard) trim() {
	l.watchLagging()
	if !l.mark.Asked() {
		return
	}
	var v backlog.View
	var tails delivery.Tails
	l.engine.backlog.View(&v)
	if c := l.holder; c != nil && l.judge(c, &v, &tails) {
		return // the one that held it last still does
	}
	l.holder = nil
	for _, c := range l.clients {
		if l.judge(c, &v, &tails) {
			l.holder = c
			return
		}
	}
	if !l.lobbyKeeps(v.Target(backlog.Canonical)) {
		l.mark.Left(&v)
	}
}

// judge does with c what the policy says if it stands in what is to go, and
// reports whether c holds that.
func (l *shard) judge(c *client, v *backlog.View, tails *delivery.Tails) (holds bool) {
	if !c.phase.sends() || !c.out.Below(v) {
		return false
	}
	p, acked := &l.engine.policy, int64(0)
	if p.Doubts(&c.out) {
		acked = c.link.Acknowledged()
	}
	verdict, why := p.Judge(&c.out, v, l.engine.backlog.Blocked(), l.Now(), acked)
	switch verdict {
	case delivery.Hold:
		l.watchHolders()
	case delivery.End:
		l.cut(c, why)
	case delivery.Advance:
		lag := l.lag(c)
		f, began, full := p.Skip(&c.out, v, tails)
		if full.Kind != 0 {
			l.cut(c, full)
		}
		if began {
			l.engine.log.Warnf("client %d is lapped and skips messages (%s behind)", c.ID(), quantity.Bytes(lag))
		}
		l.tellMissed(c, f)
	}
	return verdict == delivery.Hold
}

// watchLagging has the clients looked at when one of them may lag far. As long
// as none can, that costs a comparison a turn and no timer.
func (l *shard) watchLagging() {
	if l.engine.policy.Slow != delivery.Wait || l.nextSample.IsSet() {
		return
	}
	for e := range l.watchFrom {
		if f := l.engine.backlog.Feed(backlog.Encoding(e)); f != nil && f.Head() >= l.watchFrom[e] {
			l.nextSample.In(l.engine.policy.Every())
			return
		}
	}
}

// watchHolders has clients looked at as long as they hold a publisher.
func (l *shard) watchHolders() {
	if !l.nextSample.IsSet() && l.engine.backlog.Blocked() {
		l.nextSample.In(l.engine.policy.Every())
	}
}

// watchFor has c be looked at once it may lag far.
func (l *shard) watchFor(c *client) {
	var v backlog.View
	l.engine.backlog.View(&v)
	from := &l.watchFrom[c.out.Encoding()]
	*from = min(*from, c.out.Offset()+l.engine.policy.Far(&v))
}

// sample looks at every client that lags far. It is called again as long as
// there is one and either the head moves or a publisher waits.
func (l *shard) sample() {
	var v backlog.View
	l.engine.backlog.View(&v)
	p := &l.engine.policy
	far, most := p.Far(&v), [backlog.Encodings]int64{}
	var tails delivery.Tails
	for _, c := range l.clients {
		e := c.out.Encoding()
		switch {
		case !c.phase.sends():
		case p.Watched(&c.out, &v):
			most[e] = far
			if p.Sample(&c.out, l.Now(), c.link.Acknowledged()) == 0 {
				c.link.NarrowUnsent()
			}
			l.judge(c, &v, &tails)
		default:
			most[e] = max(most[e], c.out.Lag(&v))
			p.Unwatch(&c.out)
		}
	}
	for e := range most {
		l.watchFrom[e] = v.Head(backlog.Encoding(e)) + max(far-most[e], 1)
		if most[e] == far {
			l.watchHolders()
		}
	}
}
