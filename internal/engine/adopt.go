//go:build unix

package engine

import (
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/proto"
)

// arrival is a connection whose protocol is known, and the session that it claims.
type arrival struct {
	accept.Arrival
	session *intake.Session
}

// clientOf is the client with this descriptor, or nil.
func (l *shard) clientOf(fd int) *client {
	if fd < len(l.byFD) {
		return l.byFD[fd]
	}
	return nil
}

// register maps c's descriptor to c.
func (l *shard) register(c *client, watched bool) error {
	c.place = nowhere
	if !watched {
		if err := l.Add(c.link.FD()); err != nil {
			return err
		}
	}
	fd := c.link.FD()
	for len(l.byFD) <= fd {
		l.byFD = append(l.byFD, make([]*client, 1024)...)
	}
	l.byFD[fd] = c
	return nil
}

// adopt makes a a client, and reports whether it could.
func (l *shard) adopt(a arrival) (born bool) {
	h := l.engine
	c := newClient(a, l.Millis())
	l.takeSession(c)
	if err := l.register(c, a.Watched); err != nil {
		h.log.Warnf("%s refused: %v", a.Addr, err)
		l.unadopt(c)
		l.closeConn(a.Conn())
		return false
	}
	switch {
	case l.quitting:
		l.unadopt(c)
		l.closeConn(a.Conn())
		return false
	case !h.gate.BecomeClient(&c.slot):
		l.unadopt(c)
		k := a.Conn()
		k.Watched = true
		l.refuseAs(k, a.Protocol, l.full(a.Addr))
		return false
	}
	l.welcome(c, a)
	return c.phase.sends()
}

// newClient makes a client of a, not announced yet.
func newClient(a arrival, now uint32) *client {
	c := &client{
		Sender: intake.NewSender(a.Addr, a.Protocol), link: link.New(a.FD, a.Addr.IsUnix(), a.Ready), slot: a.Slot,
		spoke: a.Spoke, unchecked: a.Protocol == codec.ProtocolRaw && !a.Checked,
	}
	c.out.Start(backlog.EncodingOf(a.Protocol), backlog.Position{At: a.Start, Backfill: a.Past})
	c.link.Touch(now)
	c.link.Restock(a.Input)
	c.Rename(a.Name)
	if a.session != nil {
		c.Continue(a.session)
	}
	return c
}

// unadopt undoes newClient.
func (l *shard) unadopt(c *client) {
	if fd := c.link.FD(); l.clientOf(fd) == c {
		l.byFD[fd] = nil
	}
	l.leaveSession(c)
	l.engine.leaveBacklog(c)
}

// welcome announces c.
func (l *shard) welcome(c *client, a arrival) {
	h := l.engine
	c.Joins(h.ids.Add(1), uint32(l.Now().Sub(h.began)/time.Second))
	var v backlog.View
	h.backlog.View(&v)
	after := c.out.Enter(&v, l.mark.Enter(c.out.Encoding(), c.out.Offset()))
	l.watchFor(c)
	l.clients.add(c)
	l.joined(member{loop: l, client: c})
	l.greet(c, after, a.Resume)
	if c.out.Behind(&v) {
		l.pass.again = true
	}
	if h.o.IdleTimeout > 0 {
		l.scheduleLiveness()
	}
	if l.draining {
		l.finishForShutdown(c)
	}
}

// joined reports that a client has joined.
func (l *shard) joined(m member) {
	s := m.sender()
	l.stats.joins++
	l.engine.registry.enter(m)
	l.in.Presence(intake.Join, s, ending.Reason{})
	l.engine.log.Debugf("client %d (%s, %s) joined", s.ID(), s.Addr(), s.Protocol())
	l.engine.notify()
}

// takeSession gives c the session that it claims, if it does.
func (l *shard) takeSession(c *client) {
	x := c.Session()
	if x == nil {
		return
	}
	if older := l.engine.sessions.Take(x, c); older != nil {
		l.cut(older.(*client), ending.Because(proto.ReasonReplaced, "replaced by a newer connection of its session"))
	}
}

const nowhere = -1

func (r *roster) add(c *client) {
	c.place = int32(len(*r))
	*r = append(*r, c)
}

// remove moves the last client to c's index.
func (r *roster) remove(c *client) {
	last := len(*r) - 1
	moved := (*r)[last]
	(*r)[c.place] = moved
	moved.place = c.place
	(*r)[last] = nil
	*r = (*r)[:last]
	c.place = nowhere
}

// roster is a list of clients; each knows its index.
type roster []*client

// greet tells a new client after which message its stream begins.
func (l *shard) greet(c *client, after uint64, r *accept.Resume) {
	if c.Protocol().Beats() {
		l.beating++
		l.nextBeat.In(l.engine.o.Heartbeat / beatLooks)
	}
	if c.link.Readable() {
		l.readSoon(c)
	}
	if r == nil {
		return
	}
	missed := uint64(0)
	if r.Asked != "" && !r.Unknown && after > r.Since {
		missed = after - r.Since
	}
	switch c.Protocol() {
	case codec.ProtocolV1:
		l.hello(c, after, missed, r.Unknown)
	case codec.ProtocolSSE:
		if r.Unknown {
			l.tell(c, codec.AppendUnknownEvent(nil, r.Asked))
		} else if missed > 0 {
			l.tell(c, codec.AppendSkippedEvent(nil, int64(missed)))
		}
	}
}

// hello is the first message to a client of hubbub.v1.
func (l *shard) hello(c *client, after, missed uint64, unknown bool) {
	h := codec.Hello{
		Epoch: l.engine.Epoch(), ID: c.ID(), Seq: after, Missed: missed, Unknown: unknown,
		Heartbeat: int(l.engine.o.Heartbeat / time.Second), Longest: l.engine.longest,
	}
	if x := c.Session(); x != nil {
		h.Ack = x.Last()
	}
	l.tell(c, codec.AppendHello(nil, h))
}
