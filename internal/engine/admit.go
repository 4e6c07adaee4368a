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
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
)

const acceptPause = time.Second

// arrival is a connection whose protocol is known, and the session that it claims.
type arrival struct {
	accept.Arrival
	session *intake.Session
}

// refusals are the throttled warnings.
type refusals struct {
	full, noDescriptors, accept, tls, http2 logger.Throttle
}

// addListeners starts to accept.
func (l *shard) addListeners(ls []*sock.Listener) error {
	if l.draining || l.quitting {
		accept.CloseAll(ls)
		return backlog.ErrClosed
	}
	return l.acceptor.Add(ls)
}

// watch starts or stops watching the listeners.
func (l *shard) watch(on bool) {
	if err := l.acceptor.Watch(on); err != nil {
		l.engine.log.Warnf("%v", err)
	}
}

// accept accepts from the ready listeners, unless the inbox is full.
func (l *shard) accept() {
	if !l.acceptor.HasReady() {
		return
	}
	inbox := l.engine.inbox
	if inbox.Deferred() {
		l.watch(false)
		return
	}
	failed := l.acceptor.Accept(func(k accept.Conn) (more bool) {
		l.admit(k)
		return !inbox.Deferred()
	})
	for _, f := range failed {
		l.acceptFailed(f)
	}
}

// acceptFailed logs an error of accept and continues.
func (l *shard) acceptFailed(f accept.Failure) {
	if !f.OutOfDescriptors() {
		if once := &l.refusals.accept; once.Allow(l.Now()) {
			l.engine.log.Warnf("%s: %v", f.Listener, f.Err)
		}
		l.rest()
		return
	}
	if once := &l.refusals.noDescriptors; once.Allow(l.Now()) {
		l.engine.log.Warnf("%s: accept: out of descriptors with %s: others are refused; raise the limit (ulimit -n) to serve more%s", f.Listener, quantity.Count(l.engine.gate.Clients(), "client"), once.Suppressed())
	}
	if k, ok := l.acceptor.AcceptWithReserve(f.Listener); ok {
		k.Slot, _ = l.engine.gate.Admit(0)
		l.refuse(k, "hubbub: refused: the server is out of descriptors\n")
	}
	l.rest()
}

// rest pauses accepting until a descriptor is free, or for a second.
func (l *shard) rest() {
	l.watch(false)
	l.engine.resting.Store(true)
	l.nextAccept.In(acceptPause)
}

// resumeAccept resumes accepting.
func (l *shard) resumeAccept() {
	h := l.engine
	if l != h.loops[0] || l.acceptor.Watching() || h.inbox.Deferred() || h.resting.Load() {
		return
	}
	if !l.acceptor.Renew() && h.gate.Lingering() > 0 {
		return // a refused connection uses the reserve
	}
	l.watch(true)
}

// admit gives a new connection to the loop with the fewest.
func (l *shard) admit(k accept.Conn) {
	h := l.engine
	var ok bool
	// Who waits for it to be there may broadcast at once: it begins before.
	k.Start = h.backlog.Begin()
	if k.Slot, ok = h.gate.Admit(h.web.Connections()); !ok {
		l.refuse(k, l.full(k.Addr))
		return
	}
	if err := h.prepareClient(int(k.FD), k.Addr.IsUnix()); err != nil {
		h.log.Warnf("%s refused: %v", k.Addr, err)
		l.refuse(k, fmt.Sprintf("hubbub: refused: %v\n", err))
		return
	}
	on := h.gate.Fewest()
	h.gate.Assign(&k.Slot, on)
	if to := h.loops[on]; to != l {
		leaveMail(to, &to.mail.conns, k)
		return
	}
	l.come(k)
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

// leaveBacklog is c that had joined a feed of its own encoding, or had not.
func (h *Engine) leaveBacklog(c *client) {
	e := backlog.EncodingOf(c.Protocol())
	if e != backlog.Canonical && h.backlog.Leave(e) {
		h.sweepLater()
	}
}

// sweepLater has the feeds looked at when one that nobody reads now may go.
func (h *Engine) sweepLater() {
	first := h.loops[0]
	first.Do(func() { first.nextSweep.In(h.o.EncodingKept) })
}

// roster is a list of clients; each knows its index.
type roster []*client

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

// checkFirstLine reports whether what c sends may be read: not before it is
// known that its first line is no HTTP request.
func (l *shard) checkFirstLine(c *client) bool {
	p := l.scratch()
	n, err := c.link.Peek(p)
	switch {
	case errors.Is(err, sock.Again):
		return true // to find that again
	case errors.Is(err, io.EOF):
		c.unchecked = false
		return true // likewise
	case err != nil: // which is told only once
		l.disconnected(c, ending.Lost(err))
		return false
	}
	switch accept.FirstLine(p[:n], c.link.PeerShut() || c.phase == halfBroken, l.engine.framing.Separator() == nil) {
	case codec.No:
		c.unchecked = false
	case codec.Perhaps:
		c.link.UsedUp()
	case codec.Yes:
		l.mark.Forget(&c.seat) // it wants something else than it was sent, and may come again
		l.cut(c, ending.Because(proto.ReasonBreach, "it opens with an HTTP request, and is taken for a raw client"))
	}
	return !c.unchecked
}
