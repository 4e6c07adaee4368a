//go:build unix

package engine

// This file hands connections to net/http and takes streams back:
//
//	handOver  a shard gives up a connection that speaks HTTP
//	takeBack  a goroutine of net/http has answered a request with a stream: the
//	          bare descriptor goes to a shard, and the goroutine ends
//
// Other requests stay with net/http (package web).

import (
	"fmt"
	"net/http"
	"strings"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
	"hubbub.example/internal/web"
)

// gateway has the connections that net/http serves.
type gateway struct {
	engine *Engine
	web    *web.Server
}

func (g *gateway) newWeb() *web.Server {
	text := "application/octet-stream"
	if g.engine.o.Framing == framing.Lines {
		text = "text/plain; charset=utf-8"
	}
	var admit func(web.Peer, web.Kind, *http.Request, string) (string, error)
	if g.engine.o.Admit != nil {
		admit = g.admitWeb
	}
	return web.New(web.Options{
		Admit:    admit,
		Hosts:    g.engine.o.Hosts,
		Origins:  g.engine.o.Origins,
		TextType: text,
		Full:     g.full,
		Begin:    g.beginOf,
		Stream:   g.takeBack,
		Post:     g.post,
		Clients:  g.engine.listClients,
		Health:   g.engine.health,
		Timeouts: web.Timeouts{BodyTimeout: g.engine.o.IdleTimeout},
		Browser:  func(p web.Peer) { g.engine.preconnects.Ask(p.Tag.(accept.Conn).Addr) },
		Room: func() {
			g.engine.places.Add(1)
			g.engine.wakeAll()
		},
		Logf:   g.engine.log.Warnf,
		Debugf: g.engine.log.Debugf,
	})
}

// endWeb ends the requests that net/http is still answering.
func (g *gateway) endWeb() {
	if err := g.web.Close(); err != nil {
		g.engine.log.Warnf("%v", err)
	}
}

// full returns an error if the hub has no room for another client.
func (g *gateway) full() error {
	if g.engine.gate.Full() {
		return fmt.Errorf("the server is full (%s)", quantity.Count(g.engine.gate.Clients(), "client"))
	}
	return nil
}

// handOver passes k to net/http; if there is no place, k waits for one.
func (p *pending) handOver(k accept.Conn) {
	// First: a registration lasts as long as any copy of the descriptor is open.
	_ = p.shard.Remove(int(k.FD))
	if _, some := p.lobby.FirstWaiting(); some || !p.giveAway(k) {
		p.lobby.Wait(k)
	}
}

// giveAway is false if net/http has no place for k, which then stays here.
func (p *pending) giveAway(k accept.Conn) bool {
	if !p.engine.web.Take(int(k.FD), peerOf(k)) {
		return false
	}
	p.engine.gate.Release(&k.Slot)
	p.engine.pass()
	return true
}

// peerOf returns k as package web describes a peer.
func peerOf(k accept.Conn) web.Peer {
	return web.Peer{Addr: k.Addr.String(), Local: k.Addr.IsLocal(), Unix: k.Addr.IsUnix(), Tag: k}
}

// takeBack gives a stream to a shard.
func (g *gateway) takeBack(s web.Stream) {
	a := s.Begin.(arrival)
	a.FD, a.Addr, a.Protocol, a.Name, a.Spoke = s.FD, s.Peer.Tag.(accept.Conn).Addr, protocolOf(s.Kind), s.Name, true
	if a.Protocol.Framed() { // others have nothing to say
		a.Input = s.Input
	}
	p, err := g.engine.backlog.Join(backlog.EncodingOf(a.Protocol), a.After)
	if err != nil {
		g.engine.log.Warnf("%s refused: %v", a.Addr, err)
		g.engine.sweepLater() // the feed may have been made for it alone
		_ = sock.Close(s.FD)
		return
	}
	a.Start, a.Past = p.At, p.Backfill
	a.Slot, _ = g.engine.gate.Admit(0)
	on := g.engine.gate.Fewest()
	if s.Session != "" { // the same shard as before: its joins and leaves stay in order
		a.session, on = g.engine.sessions.Claim(s.Session, on)
	}
	g.engine.gate.Assign(&a.Slot, on)
	l := g.engine.loops[on]
	leaveMail(l, &l.mail.arrivals, a)
}

func protocolOf(k web.Kind) codec.Protocol {
	return [...]codec.Protocol{web.Text: codec.ProtocolText, web.Events: codec.ProtocolSSE, web.WebSocket: codec.ProtocolWebSocket, web.V1: codec.ProtocolV1}[k]
}

// beginOf decides where s begins. It returns an arrival, which takeBack completes.
func (g *gateway) beginOf(s web.Stream) any {
	var a arrival
	if s.Kind == web.V1 {
		a.Resume = &accept.Resume{}
	}
	switch {
	case s.Since != "":
		a.Resume = &accept.Resume{Asked: s.Since}
		p, err := proto.ParsePoint(s.Since)
		if err != nil || !strings.EqualFold(p.Epoch, g.engine.Epoch()) || p.Seq > g.engine.backlog.Count() {
			a.Resume.Unknown = true
			return a
		}
		a.After, a.Resume.Since = p.Seq, p.Seq
	case s.Last >= 0:
		count := g.engine.backlog.Count()
		a.After = count - min(count, uint64(s.Last))
	case s.First:
		a.After = g.engine.backlog.Seq(s.Peer.Tag.(accept.Conn).Start)
	default:
		a.After = g.engine.backlog.Seq(g.engine.backlog.Begin())
	}
	return a
}
