//go:build unix

package engine

// This file hands connections to net/http and takes streams back:
//
//	handOver   a loop       gives up a connection that speaks HTTP
//	takeBack   a goroutine  of net/http's, which has answered a request with a
//	                        stream: the bare descriptor goes to a loop, and the
//	                        goroutine ends
//	greet      that loop    tells the client where its stream begins
//
// Other requests stay with net/http: package web.

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

func (h *Engine) newWeb() *web.Server {
	text := "application/octet-stream"
	if h.o.Framing == framing.Lines {
		text = "text/plain; charset=utf-8"
	}
	var admit func(web.Peer, web.Kind, *http.Request, string) (string, error)
	if h.o.Admit != nil {
		admit = h.admitWeb
	}
	return web.New(web.Options{
		Admit:    admit,
		Hosts:    h.o.Hosts,
		Origins:  h.o.Origins,
		TextType: text,
		Full:     h.full,
		Begin:    h.beginOf,
		Stream:   h.takeBack,
		Post:     h.post,
		Clients:  h.listClients,
		Health:   h.health,
		Timeouts: web.Timeouts{BodyTimeout: h.o.IdleTimeout},
		Browser:  func(p web.Peer) { h.preconnects.Ask(p.Tag.(accept.Conn).Addr) },
		Room: func() {
			h.places.Add(1)
			h.wakeAll()
		},
		Logf:   h.log.Warnf,
		Debugf: h.log.Debugf,
	})
}

// endWeb ends the requests that net/http still answers.
func (h *Engine) endWeb() {
	if err := h.web.Close(); err != nil {
		h.log.Warnf("%v", err)
	}
}

// full is the error if the hub has no room for another client.
func (h *Engine) full() error {
	if h.gate.Full() {
		return fmt.Errorf("the server is full (%s)", quantity.Count(h.gate.Clients(), "client"))
	}
	return nil
}

// handOver passes k to net/http; if there is no place, k waits for one.
func (l *shard) handOver(k accept.Conn) {
	// First: the registration outlives the descriptor as long as a copy is open.
	_ = l.Remove(int(k.FD))
	if _, some := l.lobby.FirstWaiting(); some || !l.giveAway(k) {
		l.lobby.Wait(k)
	}
}

// giveAway is false if there is no place for k, which stays here then.
func (l *shard) giveAway(k accept.Conn) bool {
	if !l.engine.web.Take(int(k.FD), peerOf(k)) {
		return false
	}
	l.engine.gate.Release(&k.Slot)
	l.engine.pass()
	return true
}

// peerOf is k as net/http's goroutines know it.
func peerOf(k accept.Conn) web.Peer {
	return web.Peer{Addr: k.Addr.String(), Local: k.Addr.IsLocal(), Unix: k.Addr.IsUnix(), Tag: k}
}

// takeBack gives a stream to a loop.
func (h *Engine) takeBack(s web.Stream) {
	a := s.Begin.(arrival)
	a.FD, a.Addr, a.Protocol, a.Name, a.Spoke = s.FD, s.Peer.Tag.(accept.Conn).Addr, protocolOf(s.Kind), s.Name, true
	if a.Protocol.Framed() { // others have nothing to say
		a.Input = s.Input
	}
	p, err := h.backlog.Join(backlog.EncodingOf(a.Protocol), a.After)
	if err != nil {
		h.log.Warnf("%s refused: %v", a.Addr, err)
		h.sweepLater() // the feed may have been made for it alone
		_ = sock.Close(s.FD)
		return
	}
	a.Start, a.Past = p.At, p.Backfill
	a.Slot, _ = h.gate.Admit(0)
	on := h.gate.Fewest()
	if s.Session != "" { // it goes to the loop that had it before: what is told of it is in order
		a.session, on = h.sessions.Claim(s.Session, on)
	}
	h.gate.Assign(&a.Slot, on)
	l := h.loops[on]
	leaveMail(l, &l.mail.arrivals, a)
}

func protocolOf(k web.Kind) codec.Protocol {
	return [...]codec.Protocol{web.Text: codec.ProtocolText, web.Events: codec.ProtocolSSE, web.WebSocket: codec.ProtocolWebSocket, web.V1: codec.ProtocolV1}[k]
}

// beginOf is where s begins: an arrival, as far as it is known.
func (h *Engine) beginOf(s web.Stream) any {
	var a arrival
	if s.Kind == web.V1 {
		a.Resume = &accept.Resume{}
	}
	switch {
	case s.Since != "":
		a.Resume = &accept.Resume{Asked: s.Since}
		p, err := proto.ParsePoint(s.Since)
		if err != nil || !strings.EqualFold(p.Epoch, h.Epoch()) || p.Seq > h.backlog.Count() {
			a.Resume.Unknown = true
			return a
		}
		a.After, a.Resume.Since = p.Seq, p.Seq
	case s.Last >= 0:
		count := h.backlog.Count()
		a.After = count - min(count, uint64(s.Last))
	case s.First:
		a.After = h.backlog.Seq(s.Peer.Tag.(accept.Conn).Start)
	default:
		a.After = h.backlog.Seq(h.backlog.Begin())
	}
	return a
}
