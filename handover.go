//go:build unix

package hubbub

// This file is the way of a connection to net/http and back:
//
//	handOver   a loop       gives up a stranger that speaks HTTP
//	takeBack   a goroutine  of net/http's, which has answered a request with a
//	                        stream: the bare descriptor goes to a loop, and the
//	                        goroutine ends
//	greet      that loop    tells the client where its stream begins
//
// What is no stream stays net/http's: package web.

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

func (h *Hub) newWeb() *web.Server {
	text := "application/octet-stream"
	if h.o.Framing == FramingLines {
		text = "text/plain; charset=utf-8"
	}
	return web.New(web.Options{
		Hosts:       h.o.Hosts,
		Origins:     h.o.Origins,
		TextType:    text,
		Full:        h.full,
		Begin:       h.beginOf,
		Stream:      h.takeBack,
		Post:        h.post,
		Clients:     h.listClients,
		Health:      h.health,
		BodyTimeout: h.o.IdleTimeout,
		Browser:     func(p web.Peer) { h.browsers.ask(p.Tag.(origin).addr) },
		Room: func() {
			h.places.Add(1)
			h.wakeAll()
		},
		Logf:   h.log.Warnf,
		Debugf: h.log.Debugf,
	})
}

// origin is a connection as it was before net/http had it.
type origin struct {
	addr   sock.Addr
	cursor int64
}

// endWeb ends what net/http still answers.
func (h *Hub) endWeb() {
	if err := h.web.Close(); err != nil {
		h.log.Warnf("%v", err)
	}
}

// full says why one more client could not be taken in.
func (h *Hub) full() error {
	if n := h.clients.Load(); n >= int64(h.o.MaxClients) {
		return fmt.Errorf("the server is full (%s)", quantity.Count(n, "client"))
	}
	return nil
}

// handOver gives c to net/http; if there is no place, c waits for one.
func (l *loop) handOver(c *client) {
	// First: the registration outlives the descriptor as long as a copy is open.
	_ = l.Remove(c.link.FD())
	s := &l.strangers
	s.leave(c)
	if len(s.waiting) > 0 || !l.giveAway(c) {
		s.waiting = append(s.waiting, c)
	}
}

// giveAway is false if there is no place for c, which stays here then.
func (l *loop) giveAway(c *client) bool {
	fd := c.link.FD()
	peer := web.Peer{Addr: c.Addr().String(), Local: c.Addr().IsLocal(), Unix: c.Addr().IsUnix(), Tag: origin{c.Addr(), c.out.Offset()}}
	if !l.hub.web.Take(fd, peer) {
		return false
	}
	c.state = away
	l.byFD[fd] = nil
	l.assigned.Add(-1)
	l.hub.sockets.Add(-1)
	l.hub.pass()
	return true
}

// takeBack gives a stream to a loop.
func (h *Hub) takeBack(s web.Stream) {
	addr := s.Peer.Tag.(origin).addr
	c := &client{link: link.New(s.FD, addr.IsUnix()), Sender: intake.NewSender(addr, protocolOf(s.Kind)), spoke: true}
	h.sockets.Add(1)
	begin := s.Begin.(beginning)
	c.Rename(s.Name)
	if begin.told != nil {
		c.more().arrival = begin.told
	}
	if c.Protocol().Framed() { // others have nothing to say
		c.link.Restock(s.Input)
	}
	if err := h.startAt(c, begin.seq); err != nil {
		h.log.Warnf("%s refused: %v", c.Addr(), err)
		h.sockets.Add(-1)
		_ = sock.Close(s.FD)
		return
	}
	to := h.fewest()
	if s.Session != "" { // it goes to the loop that had it before: what is told of it is in order
		x, loop := h.sessions.Claim(s.Session, slices.Index(h.loops, to))
		c.Continue(x)
		to = h.loops[loop]
	}
	to.assigned.Add(1)
	to.post(c)
}

// startAt has c read its feed after message seq.
func (h *Hub) startAt(c *client, seq uint64) error {
	e := backlog.EncodingOf(c.Protocol())
	p, err := h.backlog.Join(e, seq)
	c.out.Start(e, p)
	return err
}

func protocolOf(k web.Kind) codec.Protocol {
	return [...]codec.Protocol{web.Text: codec.ProtocolText, web.Events: codec.ProtocolSSE, web.WebSocket: codec.ProtocolWebSocket, web.V1: codec.ProtocolV1}[k]
}

// arrival is what a stream asked for, where it can be told how that went.
type arrival struct {
	asked   string // its resume point
	since   uint64 // the message behind which it was to begin
	unknown bool   // the resume point is none of this hub's
}

// beginning is where a stream begins.
type beginning struct {
	seq  uint64   // behind this message
	told *arrival // what is to be told about that
}

// beginOf is where s begins: a beginning.
func (h *Hub) beginOf(s web.Stream) any {
	switch {
	case s.Since != "":
		p, err := proto.ParsePoint(s.Since)
		if err != nil || !strings.EqualFold(p.Epoch, h.epoch) || p.Seq > h.backlog.Count() {
			return beginning{0, &arrival{asked: s.Since, unknown: true}}
		}
		return beginning{p.Seq, &arrival{asked: s.Since, since: p.Seq}}
	case s.Last >= 0:
		count := h.backlog.Count()
		return beginning{count - min(count, uint64(s.Last)), h.plainArrival(s)}
	case s.First:
		return beginning{h.backlog.Seq(s.Peer.Tag.(origin).cursor), h.plainArrival(s)}
	}
	return beginning{h.backlog.Seq(h.backlog.Begin()), h.plainArrival(s)}
}

// plainArrival is that of a stream that asked for no resume point, if it is
// told anything at all.
func (h *Hub) plainArrival(s web.Stream) *arrival {
	if s.Kind == web.V1 {
		return &arrival{}
	}
	return nil
}

// greet tells c, which has just been taken in, where its stream begins.
func (l *loop) greet(c *client) {
	if c.Protocol().Beats() {
		l.beating++
		l.nextBeat.In(l.hub.o.pace.beat / beatLooks)
	}
	if c.link.Readable() {
		l.readSoon(c)
	}
	x := c.extra
	if x == nil {
		return
	}
	if a := x.arrival; a != nil {
		x.arrival = nil
		missed := uint64(0)
		if a.asked != "" && !a.unknown && c.out.First() > a.since {
			missed = c.out.First() - a.since
		}
		switch c.Protocol() {
		case codec.ProtocolV1:
			l.hello(c, a, missed)
		case codec.ProtocolSSE:
			if a.unknown {
				l.tell(c, codec.AppendUnknownEvent(nil, a.asked))
			} else if missed > 0 {
				l.tell(c, codec.AppendSkippedEvent(nil, int64(missed)))
			}
		}
	}
	c.tidy()
}

// hello is what a client of hubbub.v1 is told first.
func (l *loop) hello(c *client, a *arrival, missed uint64) {
	h := codec.Hello{
		Epoch: l.hub.epoch, ID: c.ID(), Seq: c.out.First(), Missed: missed, Unknown: a.unknown,
		Heartbeat: int(l.hub.o.pace.beat / time.Second), Longest: l.hub.longest,
	}
	if x := c.Session(); x != nil {
		h.Ack = x.Last()
	}
	l.tell(c, codec.AppendHello(nil, h))
}
