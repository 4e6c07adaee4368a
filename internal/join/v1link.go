package join

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/quantity"
)

// A v1Link is a connection on which hubbub.v1 is spoken (v1.go): what breaks
// off on one is gone on with on the next, both ways.
//
// Messages go to the inbox. When that is full, because STDOUT is blocked, and
// sending must wait for what the server acknowledges, which comes behind them,
// they are dropped, and asked for again once STDOUT has taken what there is
// (behind).
type v1Link struct {
	wire
	ws    WebSocket
	hello said

	behind  atomic.Bool  // messages were dropped
	saidEnd atomic.Bool  // the server was told of STDIN's end
	beating atomic.Bool  // a heartbeat is being sent
	useful  bool         // the receiver's; see ending
	reason  proto.Reason // the receiver's: why the server ends it

	asked, beaten, heardAt time.Time
	heardThen              int64
}

// WebSocket is a client's end of one, for text messages. Any goroutine may
// send, while another receives.
type WebSocket interface {
	// Receive returns the next message, which is good until the next call,
	// and answers pings. The server's close frame is a *proto.Closed, a breach
	// of the protocol a *proto.Breach, a mere end io.EOF.
	Receive() ([]byte, error)

	// Send sends a message. If more follow at once, it may wait for them.
	Send(message []byte, more bool) error

	// Close sends a close frame, and leaves the connection alone.
	Close(code proto.CloseCode, reason string) error

	// Limit says how long a message from the server may be.
	Limit(size int64)
}

// counted counts what comes, also of a message that takes long.
type counted struct {
	duplex
	heard *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.duplex.Read(p)
	c.heard.Add(int64(n))
	return n, err
}

// openV1 asks the server on conn for hubbub.v1, hears its hello, and tells the
// queue what has arrived.
func openV1(c *client, conn duplex) (*v1Link, error) {
	l := &v1Link{wire: newWire(c, conn)}
	l.asked, l.beaten, l.heardAt = l.began, l.began, l.began
	ws, err := c.WebSocket(counted{conn, &l.heard}, httpHost(c.Address), target(c.session, c.place, c.Last, c.Name), proto.Subprotocol)
	if err != nil {
		return nil, endOf(err)
	}
	l.ws = ws
	p, err := ws.Receive()
	if err == nil {
		l.hello, err = parseSaid(p)
	}
	if err == nil {
		err = l.hello.hello()
	}
	if err == nil {
		err = c.acks.begin(l.hello.longest(), l.hello.Ack)
	}
	if err != nil {
		return nil, &helloError{endOf(err)}
	}
	ws.Limit(int64(proto.JSONLimit(l.hello.longest(), otherFields)))
	return l, nil
}

// otherFields is how long what stands around a message may be.
const otherFields = 64 << 10

// helloError is a server's that speaks hubbub.v1, but does not begin it.
type helloError struct{ err error }

func (e *helloError) Error() string { return e.err.Error() }
func (e *helloError) Unwrap() error { return e.err }

// receive hears what the server says until it ends.
func (l *v1Link) receive() {
	l.greet()
	for {
		p, err := l.ws.Receive()
		if err != nil {
			l.received <- endOf(err)
			return
		}
		if err := l.hear(p); err != nil {
			_ = l.conn.SetWriteDeadline(time.Now().Add(grace))
			_ = l.ws.Close(proto.CloseProtocolError, "")
			l.received <- err
			return
		}
	}
}

// endOf returns an end of file in words: here a server says goodbye.
func endOf(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errEnded
	}
	return err
}

// greet takes up what hello says of the messages to come.
func (l *v1Link) greet() {
	at, had := proto.Point{Epoch: l.hello.Epoch, Seq: l.hello.Seq}, l.place
	l.own.add(&l.hello)
	switch {
	case had == proto.Point{}:
		l.deliver(at, func(*bytes.Buffer) {})
	case at.Epoch != had.Epoch:
		l.log.Warnf("the server was restarted; resuming at its oldest message")
		l.notice("unknown", 0, at)
	case l.hello.Unknown:
		l.log.Warnf("the server has not reached %s yet; resuming at its oldest message", had)
		l.notice("unknown", 0, at)
	case at.Seq > had.Seq:
		gone := max(l.hello.Missed, at.Seq-had.Seq)
		l.log.Warnf("missed %s, which the server no longer keeps", quantity.Count(gone, "message"))
		l.notice("missed", gone, at)
	}
}

// hear handles one message of the server's.
func (l *v1Link) hear(p []byte) error {
	s, err := parseSaid(p)
	if err != nil {
		return err
	}
	switch s.Type {
	case proto.Hello:
		return breach("a second hello")
	case proto.Message:
		l.message(&s)
	case proto.Private:
		l.useful = true
		l.deliver(l.place, func(b *bytes.Buffer) { l.Out.render(b, l.Frame, &s) })
	case proto.Skipped:
		l.skipped(&s)
	case proto.Passed:
		if s.Seq > l.place.Seq {
			l.deliver(proto.Point{Epoch: l.place.Epoch, Seq: s.Seq}, func(*bytes.Buffer) {})
		}
	case proto.Ack:
		all, err := l.acks.acknowledged(s.N)
		l.useful = l.useful || s.N > l.hello.Ack
		if all {
			l.poke()
		}
		return err
	case proto.Heartbeat:
		l.beat()
	case proto.Closing:
		l.reason = proto.ParseReason(s.Code)
	}
	return nil
}

// message has a message printed, unless it has been, or is our own. One that does
// not follow the last means that some are missing.
func (l *v1Link) message(s *said) {
	if l.behind.Load() || s.Seq <= l.place.Seq {
		return
	}
	l.useful = true
	if gap := s.Seq - l.place.Seq - 1; gap > 0 {
		l.log.Warnf("missed %s; the server does not say why", quantity.Count(gap, "message"))
		l.notice("missed", gap, proto.Point{Epoch: l.place.Epoch, Seq: s.Seq - 1})
	}
	l.deliver(proto.Point{Epoch: l.place.Epoch, Seq: s.Seq}, func(b *bytes.Buffer) {
		if !l.own.said(s) {
			l.Out.render(b, l.Frame, s)
		}
	})
}

func (l *v1Link) skipped(s *said) {
	if l.behind.Load() || s.Seq <= l.place.Seq {
		return
	}
	l.useful = true
	count := s.Seq - l.place.Seq
	l.log.Warnf("the server skipped %s: this client was too slow", quantity.Count(count, "message"))
	l.notice("skipped", count, proto.Point{Epoch: l.place.Epoch, Seq: s.Seq})
}

// notice says where it is said that something is missing.
func (l *v1Link) notice(kind string, count uint64, at proto.Point) {
	l.deliver(at, func(b *bytes.Buffer) { l.Out.notice(b, kind, count, at) })
}

// deliver gives to the inbox what brings us to a point. Without room, and no
// time to wait for it, that is where the next connection begins.
func (l *v1Link) deliver(at proto.Point, render func(*bytes.Buffer)) {
	if l.behind.Load() {
		return
	}
	if l.inbox.add(at, l.hurried, render) {
		l.place = at
		return
	}
	l.behind.Store(true)
	l.poke()
}

// hurried reports whether receiving must not wait for STDOUT. One that is
// merely slow is waited for.
func (l *v1Link) hurried() bool {
	return l.over.Load() || l.leaves() || l.acks.starving.Load() && l.out.blocked() >= grace
}

// poke has run look again.
func (c *client) poke() {
	select {
	case c.idle <- struct{}{}:
	default:
	}
}

// beat sends a heartbeat from another goroutine: a server that does not read must not
// keep us from reading. It sends none while the last one has not been sent.
func (l *v1Link) beat() {
	if l.beating.CompareAndSwap(false, true) {
		go func() {
			_ = l.ws.Send(heartbeatJSON, false)
			l.beating.Store(false)
		}()
	}
}

// send sends what STDIN gives until STDIN's end, which it passes on, but for
// one that is left with a goodbye.
func (l *v1Link) send() {
	var b bytes.Buffer
	for {
		m, ok := l.acks.message(l.over.Load)
		if !ok {
			break
		}
		b.Reset()
		appendMessage(&b, m.n, m.data)
		if err := l.ws.Send(b.Bytes(), m.more); err != nil {
			l.sent <- err
			return
		}
		l.gave.Add(int64(b.Len()))
	}
	if l.EOF == Exit || l.leaves() || !l.endsHere() {
		l.sent <- nil
		return
	}
	l.saidEnd.Store(true)
	l.sent <- l.ws.Send(endJSON, false)
}

// hungUp: what was received and not yet read is no reason to wait; the next
// link begins there.
func (l *v1Link) hungUp() event { return ended }

func (l *v1Link) look() event {
	acknowledged := !l.sending && l.sendErr == nil && l.in.stdin().kept == 0
	switch {
	case l.phase == leaving && acknowledged:
		return settled
	case l.phase == open && acknowledged && l.EOF == Exit:
		return finished
	case !l.leaves() && l.behind.Load() && l.inbox.empty():
		l.breakOff(errBehind)
	}
	if l.broken != nil {
		return lost
	}
	return nothing
}

// act leaves once all is acknowledged, with a close frame.
func (l *v1Link) act(a action, e event) {
	switch a {
	case leave:
		l.departs(e)
		l.inbox.wake()
		if l.phase == leaving {
			l.timer.Reset(shutdownBudget)
		}
	case part:
		wait := grace
		if l.isWatcher() {
			wait = grace / 4
		}
		_ = l.conn.SetWriteDeadline(time.Now().Add(grace))
		_ = l.ws.Close(proto.CloseNormal, "")
		l.timer.Reset(wait)
	case linger:
		l.timer.Reset(grace)
	}
}

// rhythm returns how often to look.
func (l *v1Link) rhythm() time.Duration {
	every := l.HealthEvery
	if l.acks.starving.Load() {
		every = min(every, grace/4)
	}
	if beat := l.hello.heartbeat(); beat > 0 {
		every = min(every, max(beat/4, time.Millisecond))
	}
	return every
}

// examine looks whether the connection lives: the system may know, and a
// server that has sent nothing for two heartbeats does not. It cannot be heard
// while the inbox is full: then we show, unasked, that we live.
func (l *v1Link) examine() {
	now, beat := time.Now(), l.hello.heartbeat()
	if now.Sub(l.asked) >= l.HealthEvery {
		l.asked = now
		if l.askSystem().Closed {
			l.breakOff(errGone)
		}
	}
	held := l.inbox.full()
	if held {
		l.inbox.wake() // who waits for room may have to hurry now
	}
	if n := l.heard.Load(); n != l.heardThen || held {
		l.heardThen, l.heardAt = n, now
	}
	switch {
	case beat == 0:
	case now.Sub(l.heardAt) >= 2*beat:
		l.breakOff(errSilent)
	case held && now.Sub(l.beaten) >= beat:
		l.beaten = now
		l.beat()
	}
}

func (l *v1Link) end() (ending, verdict) {
	l.over.Store(true)
	_ = l.conn.Close()
	l.in.wake()
	l.inbox.wake()
	if l.sending {
		<-l.sent //nolint:errcheck // nothing new: it was stopped
	}
	if l.receiving {
		<-l.received //nolint:errcheck // likewise
	}
	e := ending{
		err:      cmp.Or(l.broken, l.receiveErr, l.sendErr),
		left:     l.departure(),
		stdin:    l.in.stdin(),
		lasted:   time.Since(l.began),
		useful:   l.useful,
		reason:   l.reason,
		receipts: true,
		saidEnd:  l.saidEnd.Load(),
		behind:   l.behind.Load(),
	}
	return e, e.verdictV1(l.Once)
}

var (
	errEnded  = errors.New("the server closed the connection")
	errBehind = errors.New("STDOUT was too slow; reconnecting for the rest")
)
