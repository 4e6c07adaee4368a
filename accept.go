//go:build unix

package hubbub

// This file is how clients come in. One loop, the first, owns the listeners
// and shares the clients out; each loop then owns its own outright.
//
//	accept   takes what waits, a slice a turn
//	admit    gives it to a loop, or refuses it with a word
//	adopt    that loop takes it in, as a stranger until it is known what it
//	         speaks (stranger.go)
//	welcome  makes it a client
//	rest     out of descriptors, or with an inbox full of joins, nobody is
//	         accepted for a while

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
	"hubbub.example/internal/sock"
)

const (
	acceptSlice = 64
	acceptPause = time.Second

	// maxRefused is how many refused connections are seen off at a time; one
	// more is closed without waiting for its end.
	maxRefused = 16
)

// acceptor is the first loop's.
type acceptor struct {
	listeners []*sock.Listener
	ready     []*sock.Listener // connections wait there
	watching  bool
	reserve   int // a descriptor to let go when there is no other
	saidOut   logger.Throttle
	saidOther logger.Throttle
}

// addListeners begins to accept.
func (l *loop) addListeners(ls []*sock.Listener) error {
	a := &l.acceptor
	if l.draining || l.quitting {
		closeAll(ls)
		return ErrClosed
	}
	for _, ln := range ls {
		if err := l.AddReader(ln.FD); err != nil {
			return err
		}
		a.listeners = append(a.listeners, ln)
	}
	a.watching = true
	return nil
}

// closeListeners ends accepting for good.
func (l *loop) closeListeners() {
	closeAll(l.acceptor.listeners)
	l.acceptor.listeners, l.acceptor.ready = nil, nil
}

func closeAll(ls []*sock.Listener) {
	for _, ln := range ls {
		_ = ln.Close()
	}
}

func (a *acceptor) find(fd int) *sock.Listener {
	for _, ln := range a.listeners {
		if ln.FD == fd {
			return ln
		}
	}
	return nil
}

// watch begins or ends to hear of connections: a listener that is not
// accepted from would tell of them on and on.
func (l *loop) watch(on bool) {
	a := &l.acceptor
	if a.watching == on {
		return
	}
	a.watching = on
	for _, ln := range a.listeners {
		var err error
		if on {
			err = l.AddReader(ln.FD)
		} else {
			err = l.Remove(ln.FD)
		}
		if err != nil {
			l.hub.log.Warnf("%s: %v", ln, err)
		}
	}
}

// accept takes in what the ready listeners have.
func (l *loop) accept() {
	a := &l.acceptor
	for _, ln := range a.ready {
		for range acceptSlice {
			if l.hub.inbox.Deferred() { // the inbox is full
				l.watch(false)
				break
			}
			fd, addr, err := sock.Accept(ln.FD)
			if err != nil {
				l.acceptFailed(ln, err)
				break
			}
			l.admit(fd, addr, ln.Protocol)
		}
	}
	a.ready = a.ready[:0]
}

// acceptFailed says what cannot be helped, and goes on.
func (l *loop) acceptFailed(ln *sock.Listener, err error) {
	a := &l.acceptor
	switch {
	case errors.Is(err, sock.Again), errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR):
	case errors.Is(err, sock.ErrNoDescriptors):
		if a.saidOut.Allow(l.Now()) {
			l.hub.log.Warnf("%s: accept: out of descriptors with %s: others are refused; raise the limit (ulimit -n) to serve more%s", ln, quantity.Count(l.hub.clients.Load(), "client"), a.saidOut.Suppressed())
		}
		l.refuseOne(ln)
		l.rest()
	default:
		if a.saidOther.Allow(l.Now()) {
			l.hub.log.Warnf("%s: %v", ln, err)
		}
		l.rest()
	}
}

// rest pauses accepting until a descriptor comes free, or for a second.
func (l *loop) rest() {
	l.watch(false)
	l.hub.resting.Store(true)
	l.nextAccept.In(acceptPause)
}

// resumeAccept goes on when what accepting waited for is over.
func (l *loop) resumeAccept() {
	a := &l.acceptor
	if l != l.hub.loops[0] || a.watching || l.hub.inbox.Deferred() || l.hub.resting.Load() {
		return
	}
	if a.reserve < 0 {
		a.reserve = openReserve()
	}
	if a.reserve < 0 && l.hub.seenOff.Load() > 0 {
		return // one that is being seen off has it
	}
	l.watch(true)
}

// refuseOne lets the reserve descriptor go, to accept one connection with it
// and say why it is refused. There is a reserve again when accepting resumes.
func (l *loop) refuseOne(ln *sock.Listener) {
	a := &l.acceptor
	if a.reserve < 0 {
		return
	}
	_ = sock.Close(a.reserve)
	a.reserve = -1
	if fd, addr, err := sock.Accept(ln.FD); err == nil {
		l.hub.sockets.Add(1)
		l.refuse(&client{link: link.New(fd, addr.IsUnix()), Sender: intake.NewSender(addr, codec.ProtocolRaw)}, "hubbub: refused: the server is out of descriptors\n")
	}
}

// openReserve opens a descriptor only to have it; less than 0 if there is none.
func openReserve() int {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// admit gives a new connection to the loop that has the fewest.
func (l *loop) admit(fd int, addr sock.Addr, port sock.Protocol) {
	h := l.hub
	h.sockets.Add(1)
	// Who waits for it to be there may broadcast at once: it begins before.
	c := &client{link: link.New(fd, addr.IsUnix()), Sender: intake.NewSender(addr, codec.ProtocolRaw), port: port}
	c.out.Start(backlog.Canonical, backlog.Position{At: h.backlog.Begin()})
	if port != sock.RawProtocol {
		c.state = strange
	}
	if n := h.sockets.Load() + int64(h.web.Connections()); n > int64(h.descriptors) {
		l.refuseFull(c)
		return
	}
	for _, s := range h.onClient {
		if s.Option.TCPOnly && addr.IsUnix() {
			continue
		}
		if err := s.Set(fd); err != nil {
			h.log.Warnf("%s refused: %v", addr, err)
			l.refuse(c, fmt.Sprintf("hubbub: refused: %v\n", err))
			return
		}
	}
	l.assign(c)
}

// assign hands c to the loop that has the fewest. The first loop only.
func (l *loop) assign(c *client) {
	to := l.hub.fewest()
	to.assigned.Add(1)
	if to == l {
		l.adopt(c)
		return
	}
	to.post(c)
}

// fewest is the loop that has the fewest connections.
func (h *Hub) fewest() *loop {
	to := h.loops[0]
	for _, other := range h.loops[1:] {
		if other.assigned.Load() < to.assigned.Load() {
			to = other
		}
	}
	return to
}

// adopt takes c in.
func (l *loop) adopt(c *client) {
	l.takeSession(c)
	if err := l.Add(c.link.FD()); err != nil {
		l.hub.log.Warnf("%s refused: %v", c.Addr(), err)
		c.state = dead
		c.link.Close()
		l.leaveSession(c)
		l.assigned.Add(-1)
		l.hub.gone(c)
		return
	}
	l.register(c)
	c.link.Touch(l.Millis())
	switch {
	case l.quitting:
		l.drop(c)
	case c.state == strange:
		l.strangers.come(l, c)
	default:
		l.welcome(c)
	}
}

// clientOf is the client with this descriptor, or nil.
func (l *loop) clientOf(fd int) *client {
	if fd < len(l.byFD) {
		return l.byFD[fd]
	}
	return nil
}

// register has events of c's descriptor find it.
func (l *loop) register(c *client) {
	c.place = nowhere
	fd := c.link.FD()
	for len(l.byFD) <= fd {
		l.byFD = append(l.byFD, make([]*client, 1024)...)
	}
	l.byFD[fd] = c
}

// welcome makes c a client.
func (l *loop) welcome(c *client) {
	h := l.hub
	if n := h.clients.Add(1); n > int64(h.o.MaxClients) {
		h.clients.Add(-1)
		l.assigned.Add(-1)
		l.refuseFull(c)
		return
	}
	c.Joins(h.ids.Add(1), uint32(l.Now().Sub(h.began)/time.Second))
	var v backlog.View
	h.backlog.View(&v)
	c.out.Enter(&v, l.mark.Enter(c.out.Encoding(), c.out.Offset()))
	l.watchFor(c)
	c.unchecked = c.Protocol() == codec.ProtocolRaw
	l.clients.add(c)
	l.joined(member{loop: l, client: c})
	l.greet(c)
	if c.out.Behind(&v) {
		l.pass.again = true
	}
	if h.o.IdleTimeout > 0 {
		l.schedulePatrol()
	}
	if l.draining {
		l.dismiss(c)
	}
}

// joined tells that a client is there.
func (l *loop) joined(m member) {
	s := m.sender()
	l.stats.joins++
	l.hub.people.enter(m)
	l.in.Presence(intake.Join, s, ending.Reason{})
	l.hub.log.Debugf("client %d (%s, %s) joined", s.ID(), s.Addr(), s.Protocol())
	l.hub.notify()
}

// takeSession gives c the session that it claims, if it does.
func (l *loop) takeSession(c *client) {
	x := c.Session()
	if x == nil {
		return
	}
	if older := l.hub.sessions.Take(x, c); older != nil {
		l.cut(older.(*client), ending.Because(proto.ReasonReplaced, "replaced by a newer connection of its session"))
	}
}

// refuseFull refuses c because there are enough.
func (l *loop) refuseFull(c *client) {
	n, are := l.hub.clients.Load(), "clients are connected"
	if n < int64(l.hub.o.MaxClients) { // who is no client yet has the rest
		n, are = l.hub.sockets.Load(), "connections are open"
	}
	if l.saidFull.Allow(l.Now()) {
		l.hub.log.Warnf("%s refused: %d %s, and no more are admitted%s", c.Addr(), n, are, l.saidFull.Suppressed())
	}
	l.refuse(c, fmt.Sprintf("hubbub: refused: the server is full (%d %s)\n", n, strings.Fields(are)[0]))
}

// refuse tells a connection that is nowhere yet why it may not stay, and sees
// it off.
func (l *loop) refuse(c *client, why string) {
	h := l.hub
	h.refused.Add(1)
	c.refused = true
	h.leaveBacklog(c)
	switch {
	case c.Protocol() == codec.ProtocolRaw:
		_, _ = c.link.Send(&feed.Piece{Bytes: []byte(why)}, l.Millis())
	case c.Protocol().Framed():
		_, _ = c.link.Send(&feed.Piece{Bytes: delivery.AppendClosing(nil, backlog.EncodingOf(c.Protocol()), ending.Because(proto.ReasonFull, "%s", strings.TrimSpace(why)))}, l.Millis())
	}
	registered := l.clientOf(c.link.FD()) == c
	if !registered {
		c.place = nowhere
	}
	if h.seenOff.Add(1) > maxRefused || !registered && l.Add(c.link.FD()) != nil {
		_ = c.link.CloseWrite()
		_, _ = c.link.Recv(l.scratch(), l.Millis()) // unread input would make close a reset
		c.link.Ended()                              // nobody waits for it
		l.drop(c)
		return
	}
	l.register(c)
	c.state = finishing
	l.clients.add(c)
	l.farewell(c)
}

// leaveBacklog is c that had joined a feed of its own encoding, or had not.
func (h *Hub) leaveBacklog(c *client) {
	e := backlog.EncodingOf(c.Protocol())
	if e != backlog.Canonical && h.backlog.Leave(e) {
		first := h.loops[0]
		first.Do(func() { first.nextSweep.In(h.o.pace.formKept) })
	}
}

// roster is a list of clients, of which each knows its place.
type roster []*client

const nowhere = -1

func (r *roster) add(c *client) {
	c.place = int32(len(*r))
	*r = append(*r, c)
}

// remove has the last one take c's place.
func (r *roster) remove(c *client) {
	last := len(*r) - 1
	moved := (*r)[last]
	(*r)[c.place] = moved
	moved.place = c.place
	(*r)[last] = nil
	*r = (*r)[:last]
	c.place = nowhere
}

// gone gives c's place back to who is to come.
func (h *Hub) gone(c *client) {
	h.sockets.Add(-1)
	if c.refused {
		h.pass()
		h.seenOff.Add(-1)
		h.loops[0].Wake() // it may have had what accepting waits for
		return
	}
	h.leaveBacklog(c)
	if c.ID() != 0 {
		h.freeSlot()
		return
	}
	h.pass()
	h.resume()
}

// freeSlot is a client less.
func (h *Hub) freeSlot() {
	h.pass()
	h.clients.Add(-1)
	h.notify()
	h.resume()
}

// resume has the first loop accept again, if it rests.
func (h *Hub) resume() {
	if h.resting.CompareAndSwap(true, false) {
		h.loops[0].Wake()
	}
}
