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

// A v1Link is a connection of hubbub.v1 (v1.go). If it breaks, the next one continues
// where it stopped, in both directions.
//
// Messages go to the inbox. It is full if STDOUT is blocked. If sending then waits for
// an acknowledgement, which comes after these messages, the link drops them, and asks
// for them again once STDOUT has taken everything (behind).
type v1Link struct {
	wire
	ws    WebSocket
	hello serverMessage

	behind  atomic.Bool  // messages were dropped
	endSent atomic.Bool  // the server knows that STDIN has ended
	beating atomic.Bool  // a heartbeat is being sent
	useful  bool         // the receiver's; see ending
	reason  proto.Reason // the receiver's: why the server closes

	asked, beaten, heardAt time.Time
	heardThen              int64
}

// WebSocket sends and receives text messages. Any goroutine may send, while another
// receives.
type WebSocket interface {
	// Receive returns the next message, which is valid until the next call, and
	// answers pings. Its error is *proto.Closed for the server's close frame,
	// *proto.Breach if the server broke the protocol, io.EOF or
	// io.ErrUnexpectedEOF if the connection closed without a close frame.
	Receive() ([]byte, error)

	// Send sends a message. If more follow at once, it may wait for them.
	Send(message []byte, more bool) error

	// Close sends a close frame. It does not close the connection.
	Close(code proto.CloseCode, reason string) error

	// Limit sets the longest message from the server.
	Limit(size int64)
}

// counted counts received bytes, even in the middle of a long message.
type counted struct {
	duplex
	heard *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.duplex.Read(p)
	c.heard.Add(int64(n))
	return n, err
}

// openV1 asks the server on conn for hubbub.v1, reads its hello, and tells the queue
// what has arrived.
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
		l.hello, err = parseMessage(p)
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

// otherFields bounds the fields besides the message itself.
const otherFields = 64 << 10

// helloError means that the server agreed to hubbub.v1 and then sent no valid hello.
type helloError struct{ err error }

func (e *helloError) Error() string { return e.err.Error() }
func (e *helloError) Unwrap() error { return e.err }

// receive handles the server's messages until the connection ends.
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

// endOf returns errEnded for an end of file: a server should send a close frame first.
func endOf(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errEnded
	}
	return err
}

// greet handles the resume point in hello.
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

// hear handles a message.
func (l *v1Link) hear(p []byte) error {
	s, err := parseMessage(p)
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

// message prints a message, unless it was printed before or is our own. A gap before it
// means that messages are missing.
func (l *v1Link) message(s *serverMessage) {
	if l.behind.Load() || s.Seq <= l.place.Seq {
		return
	}
	l.useful = true
	if gap := s.Seq - l.place.Seq - 1; gap > 0 {
		l.log.Warnf("missed %s; the server does not say why", quantity.Count(gap, "message"))
		l.notice("missed", gap, proto.Point{Epoch: l.place.Epoch, Seq: s.Seq - 1})
	}
	l.deliver(proto.Point{Epoch: l.place.Epoch, Seq: s.Seq}, func(b *bytes.Buffer) {
		if !l.own.sent(s) {
			l.Out.render(b, l.Frame, s)
		}
	})
}

func (l *v1Link) skipped(s *serverMessage) {
	if l.behind.Load() || s.Seq <= l.place.Seq {
		return
	}
	l.useful = true
	count := s.Seq - l.place.Seq
	l.log.Warnf("the server skipped %s: this client was too slow", quantity.Count(count, "message"))
	l.notice("skipped", count, proto.Point{Epoch: l.place.Epoch, Seq: s.Seq})
}

// notice prints that messages are missing, in their place.
func (l *v1Link) notice(kind string, count uint64, at proto.Point) {
	l.deliver(at, func(b *bytes.Buffer) { l.Out.notice(b, kind, count, at) })
}

// deliver adds output to the inbox, which ends with the message at. If the inbox has no
// room and there is no time to wait, the next connection begins there.
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

// hurried reports whether receiving must not wait for STDOUT. It does wait if STDOUT is
// merely slow.
func (l *v1Link) hurried() bool {
	return l.over.Load() || l.leaves() || l.acks.starving.Load() && l.out.blocked() >= grace
}

// poke makes live call look again.
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

// send sends STDIN, and then its end, unless the client leaves with a close frame.
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
	l.endSent.Store(true)
	l.sent <- l.ws.Send(endJSON, false)
}

// hungUp does not wait for input that is not read yet: the next link begins there.
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

// act leaves with a close frame, once everything is acknowledged.
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

// examine checks whether the connection lives: the system may know, and a server that
// has sent nothing for two heartbeats is dead. While the inbox is full, nothing is read
// from it. Then the client sends heartbeats by itself.
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
		l.inbox.wake() // the receiver may have to hurry now
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
		endSent:  l.endSent.Load(),
		behind:   l.behind.Load(),
	}
	return e, e.verdictV1(l.Once)
}

var (
	errEnded  = errors.New("the server closed the connection")
	errBehind = errors.New("STDOUT was too slow; reconnecting for the rest")
)
