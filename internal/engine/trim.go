//go:build unix

package engine

// This file acts on clients that lag; package delivery judges them:
//
//	trim          has clients leave what the backlog wants to trim
//	watchLagging  starts sampling once some client may lag far
//	sample        measures what those clients take, a few times per Patience
//	judge         decides about one client that needs what is to be trimmed

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/quantity"
)

// trimming has what clients still need of the backlog.
type trimming struct {
	owner
	mark      *backlog.Mark
	holder    *client                  // the source waits for it; trim checks it first
	watchFrom [backlog.Encodings]int64 // below this head no client can lag far

	nextSample *loop.Timer
}

// lag returns how many bytes of its feed c has not been sent.
func (t *trimming) lag(c *client) int64 {
	return t.engine.backlog.Feed(c.out.Encoding()).Head() - c.out.Offset()
}

// trim has no client of this shard need what is to be trimmed.
func (t *trimming) trim() {
	t.watchLagging()
	if !t.mark.Asked() {
		return
	}
	var v backlog.View
	var tails delivery.Tails
	t.engine.backlog.View(&v)
	if c := t.holder; c != nil && t.judge(c, &v, &tails) {
		return // it still holds
	}
	t.holder = nil
	for _, c := range t.shard.clients {
		if t.judge(c, &v, &tails) {
			t.holder = c
			return
		}
	}
	if !t.shard.lobbyKeeps(v.Target(backlog.Canonical)) {
		t.mark.Left(&v)
	}
}

// judge applies the policy to c if c needs what is to be trimmed, and reports
// whether the source waits for c.
func (t *trimming) judge(c *client, v *backlog.View, tails *delivery.Tails) (holds bool) {
	if !c.phase.sends() || !c.out.Below(v) {
		return false
	}
	p, acked := &t.engine.policy, int64(0)
	if p.Doubts(&c.out) {
		acked = c.link.Acknowledged()
	}
	verdict, why := p.Judge(&c.out, v, t.engine.backlog.Blocked(), t.shard.Now(), acked)
	switch verdict {
	case delivery.Hold:
		t.watchHolders()
	case delivery.End:
		t.shard.cut(c, why)
	case delivery.Advance:
		lag := t.lag(c)
		f, began, full := p.Skip(&c.out, v, tails)
		if full.Kind != 0 {
			t.shard.cut(c, full)
		}
		if began {
			t.engine.log.Warnf("client %d is lapped and skips messages (%s behind)", c.ID(), quantity.Bytes(lag))
		}
		t.shard.tellMissed(c, f)
	}
	return verdict == delivery.Hold
}

// watchLagging starts sampling when some client may lag far. Until then it costs
// one comparison a turn and no timer.
func (t *trimming) watchLagging() {
	if t.engine.policy.Slow != delivery.Wait || t.nextSample.IsSet() {
		return
	}
	for e := range t.watchFrom {
		if f := t.engine.backlog.Feed(backlog.Encoding(e)); f != nil && f.Head() >= t.watchFrom[e] {
			t.nextSample.In(t.engine.policy.Every())
			return
		}
	}
}

// watchHolders samples as long as a publisher waits for clients.
func (t *trimming) watchHolders() {
	if !t.nextSample.IsSet() && t.engine.backlog.Blocked() {
		t.nextSample.In(t.engine.policy.Every())
	}
}

// watchFor includes c in watchFrom.
func (t *trimming) watchFor(c *client) {
	var v backlog.View
	t.engine.backlog.View(&v)
	from := &t.watchFrom[c.out.Encoding()]
	*from = min(*from, c.out.Offset()+t.engine.policy.Far(&v))
}

// sample measures every client that lags far. It runs again as long as there is
// one and either the head moves or a publisher waits.
func (t *trimming) sample() {
	var v backlog.View
	t.engine.backlog.View(&v)
	p := &t.engine.policy
	far, most := p.Far(&v), [backlog.Encodings]int64{}
	var tails delivery.Tails
	for _, c := range t.shard.clients {
		e := c.out.Encoding()
		switch {
		case !c.phase.sends():
		case p.Watched(&c.out, &v):
			most[e] = far
			if p.Sample(&c.out, t.shard.Now(), c.link.Acknowledged()) == 0 {
				c.link.NarrowUnsent()
			}
			t.judge(c, &v, &tails)
		default:
			most[e] = max(most[e], c.out.Lag(&v))
			p.Unwatch(&c.out)
		}
	}
	for e := range most {
		t.watchFrom[e] = v.Head(backlog.Encoding(e)) + max(far-most[e], 1)
		if most[e] == far {
			t.watchHolders()
		}
	}
}
