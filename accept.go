//go:build unix

package hubbub

// This file is how clients come in. One loop, the first, owns the listeners
// and shares the clients out; each loop then owns its own outright.
//
//	accept   takes what waits, a slice a turn
//	admit    makes it a client, or refuses it with a word
//	adopt    the client's own loop takes it in
//	rest     out of descriptors, or with an inbox full of joins, nobody is
//	         accepted for a while

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

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
	refused   int // connections being seen off
	resume    time.Time
	saidFull  seldom
	saidOut   seldom
	saidOther seldom
}

// addListeners begins to accept.
func (l *loop) addListeners(ls []*sock.Listener) error {
	a := &l.acceptor
	if l.draining || l.quitting {
		closeAll(ls)
		return ErrClosed
	}
	for _, ln := range ls {
		if err := l.poller.AddReader(ln.FD); err != nil {
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
			err = l.poller.AddReader(ln.FD)
		} else {
			err = l.poller.Remove(ln.FD)
		}
		if err != nil {
			l.hub.warnf("%s: %v", ln, err)
		}
	}
}

// accept takes in what the ready listeners have.
func (l *loop) accept() {
	a := &l.acceptor
	for _, ln := range a.ready {
		for range acceptSlice {
			if l.hub.late.Load() > 0 { // the inbox is full
				l.watch(false)
				break
			}
			fd, addr, err := sock.Accept(ln.FD)
			if err != nil {
				l.acceptFailed(ln, err)
				break
			}
			l.admit(fd, addr)
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
		if a.saidOut.now(l.now) {
			l.hub.warnf("%s: accept: out of descriptors with %d clients: others are refused; raise the limit (ulimit -n) to serve more%s", ln, l.hub.clients.Load(), a.saidOut.others())
		}
		l.refuseOne(ln)
		l.rest()
	default:
		if a.saidOther.now(l.now) {
			l.hub.warnf("%s: %v", ln, err)
		}
		l.rest()
	}
}

// rest pauses accepting until a descriptor comes free, or for a second.
func (l *loop) rest() {
	l.watch(false)
	l.hub.resting.Store(true)
	l.acceptor.resume = l.now.Add(acceptPause)
	l.schedule(&l.nextAccept, acceptPause)
}

// resumeAccept goes on when what accepting waited for is over.
func (l *loop) resumeAccept() {
	a := &l.acceptor
	if l != l.hub.loops[0] || a.watching || l.hub.late.Load() > 0 || l.hub.resting.Load() && l.now.Before(a.resume) {
		return
	}
	if a.reserve < 0 {
		a.reserve = openReserve()
	}
	if a.reserve < 0 && a.refused > 0 {
		return // one that is being seen off has it
	}
	l.hub.resting.Store(false)
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
		l.refuse(fd, addr, "hubbub: refused: the server is out of descriptors\n")
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

// admit makes a new connection a client of the loop that has the fewest.
func (l *loop) admit(fd int, addr sock.Addr) {
	h := l.hub
	if n := h.clients.Load(); n >= int64(h.o.MaxClients) {
		if l.acceptor.saidFull.now(l.now) {
			h.warnf("%s refused: %d clients are connected, and no more are admitted%s", addr, n, l.acceptor.saidFull.others())
		}
		l.refuse(fd, addr, fmt.Sprintf("hubbub: refused: the server is full (%d clients)\n", n))
		return
	}
	for _, s := range h.onClient {
		if s.Option.TCPOnly && addr.IsUnix() {
			continue
		}
		if err := s.Set(fd); err != nil {
			h.warnf("%s refused: %v", addr, err)
			l.refuse(fd, addr, fmt.Sprintf("hubbub: refused: %v\n", err))
			return
		}
	}
	// Who waits for it to be there may broadcast at once: it begins before.
	c := &client{id: h.ids.Add(1), fd: int32(fd), addr: addr, cursor: h.begin()}
	h.clients.Add(1)
	to := h.loops[0]
	for _, other := range h.loops[1:] {
		if other.assigned.Load() < to.assigned.Load() {
			to = other
		}
	}
	to.assigned.Add(1)
	if to == l {
		l.adopt(c)
		return
	}
	to.post(c)
}

// refuse tells a connection why, and sees it off.
func (l *loop) refuse(fd int, addr sock.Addr, why string) {
	l.hub.refused.Add(1)
	_, _ = sock.Send(fd, []byte(why))
	a := &l.acceptor
	if a.refused >= maxRefused || l.poller.Add(fd) != nil {
		_ = sock.EndSending(fd)
		_, _ = sock.Recv(fd, l.scratch()) // unread input would make close a reset
		_ = sock.Close(fd)
		return
	}
	a.refused++
	c := &client{fd: int32(fd), addr: addr, state: finishing, left: true}
	l.place(c)
	l.farewell(c)
}

// adopt takes c in.
func (l *loop) adopt(c *client) {
	if err := l.poller.Add(int(c.fd)); err != nil {
		l.hub.warnf("client %d (%s) refused: %v", c.id, c.addr, err)
		_ = sock.Close(int(c.fd))
		l.assigned.Add(-1)
		l.hub.gone(c)
		return
	}
	if c.cursor < l.hub.room.target.Load() {
		l.comesLate(c)
	}
	l.watchFrom = min(l.watchFrom, c.cursor+l.hub.o.Backlog/farBehind)
	c.active = l.millis
	l.place(c)
	l.stats.joins++
	l.note(Join, c, "")
	l.hub.debugf("client %d (%s) joined", c.id, c.addr)
	l.hub.notify()
	if c.cursor < l.hub.feed.Head() {
		l.pass.again = true
	}
	if l.hub.o.IdleTimeout > 0 {
		l.schedulePatrol()
	}
	switch {
	case l.quitting:
		l.drop(c)
	case l.draining:
		l.dismiss(c)
	}
}

// place enters c in the loop's tables.
func (l *loop) place(c *client) {
	c.place = int32(len(l.clients))
	l.clients = append(l.clients, c)
	for len(l.byFD) <= int(c.fd) {
		l.byFD = append(l.byFD, make([]*client, 1024)...)
	}
	l.byFD[c.fd] = c
}

// gone gives c's place back to who is to come.
func (h *Hub) gone(c *client) {
	if c.id == 0 { // it was refused, and never a client
		h.loops[0].acceptor.refused--
		h.loops[0].wakeUp() // it may have had what accepting waits for
		return
	}
	h.clients.Add(-1)
	h.notify()
	if h.resting.CompareAndSwap(true, false) {
		h.loops[0].wakeUp()
	}
}
