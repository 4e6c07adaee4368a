//go:build unix

package engine

// This file has the connections of a shard that are no clients yet:
//
//	come    puts one into the lobby until its protocol is known
//	act     does what the lobby decided
//	refuse  sends the reason and closes

import (
	"fmt"
	"strings"
	"sync/atomic"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/loop"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

// refusals are the throttled warnings.
type refusals struct {
	full, tls, http2 logger.Throttle
}

// pending has the connections of a shard that are no clients yet.
type pending struct {
	owner
	lobby    accept.Lobby
	asked    int   // connections that Options.Admit is deciding about
	placed   int64 // engine.places when last checked
	refusals refusals

	nextLobby *loop.Timer
}

// come puts k into the lobby until its protocol is known.
func (p *pending) come(k accept.Conn) {
	if err := p.shard.Add(int(k.FD)); err != nil {
		p.engine.log.Warnf("%s refused: %v", k.Addr, err)
		p.closeConn(k)
		return
	}
	k.Watched = true
	switch {
	case p.shard.quitting:
		p.closeConn(k)
	case k.Port == sock.RawProtocol:
		p.becomeRaw(k)
	default:
		p.lobby.Come(k, p.shard.Millis())
		if p.engine.o.IdleTimeout > 0 {
			p.shard.scheduleLiveness()
		}
		if p.shard.draining {
			p.actAll(p.lobby.Drain(p.engine.backlog.Head()))
		}
	}
}

// turnLobby acts on connections that have waited long enough, for their first
// bytes or for a place at net/http.
func (p *pending) turnLobby() {
	if p.lobby.Len() == 0 {
		return
	}
	h := p.engine
	if n := h.places.Load(); p.placed != n {
		p.placed = n
		for k, ok := p.lobby.FirstWaiting(); ok && p.giveAway(k); k, ok = p.lobby.FirstWaiting() {
			p.lobby.TakeWaiting()
		}
	}
	// If the caller waits for clients, or the hub is full, silent connections
	// are admitted or refused now, even if nothing has been broadcast.
	wanted := h.watchers.Load() > 0 || h.gate.Full()
	p.actAll(p.lobby.Turn(p.shard.Millis(), h.backlog.Head(), wanted))
	p.setLobbyTimer()
}

// setLobbyTimer sets the timer for the lobby's next timeout.
func (p *pending) setLobbyTimer() {
	if in, ok := p.lobby.Next(p.shard.Millis()); ok {
		p.nextLobby.In(in)
	}
}

// lobbyKeeps reports whether a silent connection still needs what lies below to.
// With Slow other than Wait its stream begins after that instead.
func (p *pending) lobbyKeeps(to int64) bool {
	if p.engine.o.Slow != delivery.Wait {
		p.lobby.Advance(to, func(start int64) int64 { return p.shard.mark.Enter(backlog.Canonical, start) })
		return false
	}
	keeps, all := p.lobby.Below(to, p.shard.Millis())
	return p.actAll(all) || keeps
}

// actAll reports whether one of them became a client.
func (p *pending) actAll(all []accept.Verdict) (born bool) {
	for _, v := range all {
		if p.act(v) {
			born = true
		}
	}
	return born
}

// act does what the lobby decided, and reports whether the connection became a
// client.
func (p *pending) act(v accept.Verdict) (born bool) {
	switch v.Do {
	case accept.Client:
		return p.becomeRaw(v.Conn)
	case accept.HTTP:
		p.handOver(v.Conn)
	case accept.Refuse:
		p.turnAway(v.Conn, v.Why)
	case accept.Close:
		if v.Why == accept.Idle {
			p.engine.log.Debugf("%s closed: idle for %s", v.Conn.Addr, p.engine.o.IdleTimeout)
		}
		p.closeConn(v.Conn)
	}
	return false
}

const tooSlow = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// turnAway closes k, which speaks a protocol that is not served or is too slow.
func (p *pending) turnAway(k accept.Conn, why accept.Why) {
	warn := func(once *logger.Throttle, what string) {
		if once.Allow(p.shard.Now()) {
			p.engine.log.Warnf("%s refused: %s%s", k.Addr, what, once.Suppressed())
		}
		p.engine.gate.CountRefused()
	}
	switch why {
	case accept.TLS:
		warn(&p.refusals.tls, "it opens with a TLS handshake, which is not spoken here")
	case accept.HTTP2:
		warn(&p.refusals.http2, "it opens with HTTP/2, of which only HTTP/1 is spoken here")
	case accept.SlowHead:
		p.linger(k, []byte(tooSlow))
		return
	}
	_, _ = sock.Recv(int(k.FD), p.shard.scratch()) // unread input would make close a reset
	p.closeConn(k)
}

// full returns the reason for refusing a connection when the hub is full.
func (p *pending) full(addr sock.Addr) string {
	n, are := p.engine.gate.Clients(), "clients are connected"
	if !p.engine.gate.Full() { // pending connections use the rest
		n, are = p.engine.gate.Connections(), "connections are open"
	}
	if once := &p.refusals.full; once.Allow(p.shard.Now()) {
		p.engine.log.Warnf("%s refused: %d %s, and no more are admitted%s", addr, n, are, once.Suppressed())
	}
	return fmt.Sprintf("hubbub: refused: the server is full (%d %s)\n", n, strings.Fields(are)[0])
}

// refuse sends k, whose protocol is unknown, the reason and closes it.
func (p *pending) refuse(k accept.Conn, why string) { p.refuseAs(k, codec.ProtocolRaw, why) }

// refuseAs sends k the reason in a protocol, and lets it linger.
func (p *pending) refuseAs(k accept.Conn, as codec.Protocol, why string) {
	var word []byte
	switch {
	case as == codec.ProtocolRaw:
		word = []byte(why)
	case as.Framed():
		word = delivery.AppendClosing(nil, backlog.EncodingOf(as), ending.Because(proto.ReasonFull, "%s", strings.TrimSpace(why)))
	}
	p.engine.gate.CountRefused()
	p.linger(k, word)
}

// linger sends k a last message. k then lingers until it closes, unless too many
// connections do already.
func (p *pending) linger(k accept.Conn, word []byte) {
	fd := int(k.FD)
	if len(word) > 0 {
		_, _ = sock.Send(fd, word)
	}
	_ = sock.EndSending(fd)
	if p.engine.gate.Linger(&k.Slot) && (k.Watched || p.shard.Add(fd) == nil) {
		p.act(p.lobby.Linger(k, p.shard.Millis()))
		p.setLobbyTimer()
		return
	}
	_, _ = sock.Recv(fd, p.shard.scratch()) // unread input would make close a reset
	k.Ended()                               // the close does not wait for it
	p.closeConn(k)
}

// closeConn closes a pending connection.
func (p *pending) closeConn(k accept.Conn) {
	c := link.New(int(k.FD), k.Addr.IsUnix(), k.Ready)
	p.shard.closeLink(&c)
	p.engine.release(&k.Slot)
}

// admission decides which connections may join.
type admission struct {
	engine      *Engine
	gate        *accept.Gate
	preconnects accept.Preconnects
	ids         atomic.Uint64
	places      atomic.Int64 // places for HTTP requests that were freed, ever
	resting     atomic.Bool  // accepting is paused
	passed      atomic.Int64 // connections that closed or went to net/http, ever
}

// release frees a slot.
func (a *admission) release(s *accept.Slot) {
	a.pass()
	wasClient, wasRefused := a.gate.Release(s)
	if wasClient {
		a.engine.notify()
	}
	// Accepting may wait for its descriptor.
	if a.resting.CompareAndSwap(true, false) || wasRefused {
		a.engine.loops[0].Wake()
	}
}
