//go:build unix

package engine

// This file accepts connections. The first loop owns the listeners and distributes
// the connections; after that each belongs to one loop.
//
//	accept  accepts waiting connections, a slice per turn
//	admit   gives one to a loop, or refuses it
//	come    puts it into the loop's lobby until its protocol is known
//	act     does what the lobby decided
//	adopt   makes the connection a client; no other function does
//	refuse  sends the reason and closes
//	rest    pauses accepting: no descriptors, or an inbox full of joins

import (
	"fmt"
	"strings"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

// refusals are the throttled warnings.
type refusals struct {
	full, tls, http2 logger.Throttle
}

// come puts k into the lobby until its protocol is known.
func (l *shard) come(k accept.Conn) {
	if err := l.Add(int(k.FD)); err != nil {
		l.engine.log.Warnf("%s refused: %v", k.Addr, err)
		l.closeConn(k)
		return
	}
	k.Watched = true
	switch {
	case l.quitting:
		l.closeConn(k)
	case k.Port == sock.RawProtocol:
		l.becomeRaw(k)
	default:
		l.lobby.Come(k, l.Millis())
		if l.engine.o.IdleTimeout > 0 {
			l.scheduleLiveness()
		}
		if l.draining {
			l.actAll(l.lobby.Drain(l.engine.backlog.Head()))
		}
	}
}

// turnLobby checks the connections in the lobby whose timeout is over.
func (l *shard) turnLobby() {
	if l.lobby.Len() == 0 {
		return
	}
	h := l.engine
	if n := h.places.Load(); l.placed != n {
		l.placed = n
		for k, ok := l.lobby.FirstWaiting(); ok && l.giveAway(k); k, ok = l.lobby.FirstWaiting() {
			l.lobby.TakeWaiting()
		}
	}
	// If the caller waits for clients, or the hub is full, silent connections
	// are admitted or refused now, even if nothing has been broadcast.
	wanted := h.watchers.Load() > 0 || h.gate.Full()
	l.actAll(l.lobby.Turn(l.Millis(), h.backlog.Head(), wanted))
	l.setLobbyTimer()
}

// setLobbyTimer sets the timer for the lobby's next timeout.
func (l *shard) setLobbyTimer() {
	if in, ok := l.lobby.Next(l.Millis()); ok {
		l.nextLobby.In(in)
	}
}

// lobbyKeeps reports whether a silent connection keeps what lies below to: as
// long as it may still speak, and the source waits for anybody. Otherwise it
// begins after that.
func (l *shard) lobbyKeeps(to int64) bool {
	if l.engine.o.Slow != delivery.Wait {
		l.lobby.Advance(to, func(start int64) int64 { return l.mark.Enter(backlog.Canonical, start) })
		return false
	}
	keeps, all := l.lobby.Below(to, l.Millis())
	return l.actAll(all) || keeps
}

// actAll reports whether one of them became a client.
func (l *shard) actAll(all []accept.Verdict) (born bool) {
	for _, v := range all {
		if l.act(v) {
			born = true
		}
	}
	return born
}

// act does what the lobby decided about a connection. It reports whether the
// connection became a client.
func (l *shard) act(v accept.Verdict) (born bool) {
	switch v.Do {
	case accept.Client:
		return l.becomeRaw(v.Conn)
	case accept.HTTP:
		l.handOver(v.Conn)
	case accept.Refuse:
		l.turnAway(v.Conn, v.Why)
	case accept.Close:
		if v.Why == accept.Idle {
			l.engine.log.Debugf("%s closed: idle for %s", v.Conn.Addr, l.engine.o.IdleTimeout)
		}
		l.closeConn(v.Conn)
	}
	return false
}

const tooSlow = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// turnAway closes k, which speaks an unknown protocol or is too slow.
func (l *shard) turnAway(k accept.Conn, why accept.Why) {
	warn := func(once *logger.Throttle, what string) {
		if once.Allow(l.Now()) {
			l.engine.log.Warnf("%s refused: %s%s", k.Addr, what, once.Suppressed())
		}
		l.engine.gate.CountRefused()
	}
	switch why {
	case accept.TLS:
		warn(&l.refusals.tls, "it opens with a TLS handshake, which is not spoken here")
	case accept.HTTP2:
		warn(&l.refusals.http2, "it opens with HTTP/2, of which only HTTP/1 is spoken here")
	case accept.SlowHead:
		l.linger(k, []byte(tooSlow))
		return
	}
	_, _ = sock.Recv(int(k.FD), l.scratch()) // unread input would make close a reset
	l.closeConn(k)
}

// full is the reason for refusing a connection when the hub is full.
func (l *shard) full(addr sock.Addr) string {
	n, are := l.engine.gate.Clients(), "clients are connected"
	if !l.engine.gate.Full() { // pending connections use the rest
		n, are = l.engine.gate.Connections(), "connections are open"
	}
	if once := &l.refusals.full; once.Allow(l.Now()) {
		l.engine.log.Warnf("%s refused: %d %s, and no more are admitted%s", addr, n, are, once.Suppressed())
	}
	return fmt.Sprintf("hubbub: refused: the server is full (%d %s)\n", n, strings.Fields(are)[0])
}

// refuse sends k, whose protocol is unknown, the reason and closes it.
func (l *shard) refuse(k accept.Conn, why string) { l.refuseAs(k, codec.ProtocolRaw, why) }

// refuseAs sends k the reason in protocol p, and lets it linger.
func (l *shard) refuseAs(k accept.Conn, p codec.Protocol, why string) {
	var word []byte
	switch {
	case p == codec.ProtocolRaw:
		word = []byte(why)
	case p.Framed():
		word = delivery.AppendClosing(nil, backlog.EncodingOf(p), ending.Because(proto.ReasonFull, "%s", strings.TrimSpace(why)))
	}
	l.engine.gate.CountRefused()
	l.linger(k, word)
}

// linger sends k a last message and keeps it until it closes, unless too many
// connections linger already.
func (l *shard) linger(k accept.Conn, word []byte) {
	fd := int(k.FD)
	if len(word) > 0 {
		_, _ = sock.Send(fd, word)
	}
	_ = sock.EndSending(fd)
	if l.engine.gate.Linger(&k.Slot) && (k.Watched || l.Add(fd) == nil) {
		l.act(l.lobby.Linger(k, l.Millis()))
		l.setLobbyTimer()
		return
	}
	_, _ = sock.Recv(fd, l.scratch()) // unread input would make close a reset
	k.Ended()                         // the close does not wait for it
	l.closeConn(k)
}

// closeConn closes a pending connection.
func (l *shard) closeConn(k accept.Conn) {
	c := link.New(int(k.FD), k.Addr.IsUnix(), k.Ready)
	l.closeLink(&c)
	l.engine.release(&k.Slot)
}

// release frees a slot.
func (h *Engine) release(s *accept.Slot) {
	h.pass()
	wasClient, wasRefused := h.gate.Release(s)
	if wasClient {
		h.notify()
	}
	// Accepting may wait for its descriptor.
	if h.resting.CompareAndSwap(true, false) || wasRefused {
		h.loops[0].Wake()
	}
}
