//go:build unix

package engine

// This file has the clients of a shard:
//
//	adopt    makes a connection a client; no other function does
//	welcome  announces it, and sends it where its stream begins
//	remove   forgets it

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

// arrival is a connection whose protocol is known, with the session that it claims.
type arrival struct {
	accept.Arrival
	session *intake.Session
}

// members has the clients of a shard.
type members struct {
	owner
	clients roster
	posts   []*post   // clients without a descriptor
	byFD    []*client // clients by descriptor
}

// clientOf returns the client with this descriptor, or nil.
func (m *members) clientOf(fd int) *client {
	if fd < len(m.byFD) {
		return m.byFD[fd]
	}
	return nil
}

// register maps c's descriptor to c.
func (m *members) register(c *client, watched bool) error {
	c.place = nowhere
	if !watched {
		if err := m.shard.Add(c.link.FD()); err != nil {
			return err
		}
	}
	fd := c.link.FD()
	for len(m.byFD) <= fd {
		m.byFD = append(m.byFD, make([]*client, 1024)...)
	}
	m.byFD[fd] = c
	return nil
}

// adopt makes a client of a. It reports whether there is a client that receives.
func (m *members) adopt(a arrival) (born bool) {
	h := m.engine
	c := newClient(a, m.shard.Millis())
	m.takeSession(c)
	if err := m.register(c, a.Watched); err != nil {
		h.log.Warnf("%s refused: %v", a.Addr, err)
		m.unadopt(c)
		m.shard.closeConn(a.Conn())
		return false
	}
	switch {
	case m.shard.quitting:
		m.unadopt(c)
		m.shard.closeConn(a.Conn())
		return false
	case !h.gate.BecomeClient(&c.slot):
		m.unadopt(c)
		k := a.Conn()
		k.Watched = true
		m.shard.refuseAs(k, a.Protocol, m.shard.full(a.Addr))
		return false
	}
	m.welcome(c, a)
	return c.phase.sends()
}

// newClient makes a client of a, which is not announced yet.
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

// remove forgets c.
func (m *members) remove(c *client) {
	m.clients.remove(c)
	m.byFD[c.link.FD()] = nil
}

// unadopt undoes newClient.
func (m *members) unadopt(c *client) {
	if fd := c.link.FD(); m.clientOf(fd) == c {
		m.byFD[fd] = nil
	}
	m.shard.leaveSession(c)
	m.engine.leaveBacklog(c)
}

// welcome announces c.
func (m *members) welcome(c *client, a arrival) {
	h := m.engine
	c.Joins(h.ids.Add(1), uint32(m.shard.Wall().Sub(h.began)/time.Second))
	var v backlog.View
	h.backlog.View(&v)
	after := c.out.Enter(&v, m.shard.mark.Enter(c.out.Encoding(), c.out.Offset()))
	m.shard.watchFor(c)
	m.clients.add(c)
	m.joined(member{loop: m.shard, client: c})
	m.greet(c, after, a.Resume)
	if c.out.Behind(&v) {
		m.shard.walkAgain()
	}
	if h.o.IdleTimeout > 0 {
		m.shard.scheduleLiveness()
	}
	if m.shard.draining {
		m.shard.finishForShutdown(c)
	}
}

// joined reports that a client has joined.
func (m *members) joined(who member) {
	s := who.sender()
	m.shard.stats.joins++
	m.engine.registry.enter(who)
	m.shard.in.Presence(intake.Join, s, ending.Reason{})
	m.engine.log.Debugf("client %d (%s, %s) joined", s.ID(), s.Addr(), s.Protocol())
	m.engine.notify()
}

// takeSession gives c the session that it claims, if it claims one.
func (m *members) takeSession(c *client) {
	x := c.Session()
	if x == nil {
		return
	}
	if older := m.engine.sessions.Take(x, c); older != nil {
		m.shard.cut(older.(*client), ending.Because(proto.ReasonReplaced, "replaced by a newer connection of its session"))
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

// roster is a list of clients. Each client has its index.
type roster []*client

// greet tells c after which message its stream begins.
func (m *members) greet(c *client, after uint64, r *accept.Resume) {
	m.shard.beginBeats(c)
	if c.link.Readable() {
		m.shard.readSoon(c)
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
		m.hello(c, after, missed, r.Unknown)
	case codec.ProtocolSSE:
		if r.Unknown {
			m.shard.tell(c, codec.AppendUnknownEvent(nil, r.Asked))
		} else if missed > 0 {
			m.shard.tell(c, codec.AppendSkippedEvent(nil, int64(missed)))
		}
	}
}

// hello sends the first message to a client of hubbub.v1.
func (m *members) hello(c *client, after, missed uint64, unknown bool) {
	h := codec.Hello{
		Epoch: m.engine.Epoch(), ID: c.ID(), Seq: after, Missed: missed, Unknown: unknown,
		Heartbeat: int(m.engine.o.Heartbeat / time.Second), Longest: m.engine.longest,
	}
	if x := c.Session(); x != nil {
		h.Ack = x.Last()
	}
	m.shard.tell(c, codec.AppendHello(nil, h))
}
