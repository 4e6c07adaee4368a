//go:build unix

package hubbub

// This file is what one client is sent alone, between two messages of its feed:
//
//	tell         something it is told once: a hello, what it has missed
//	pong, ack    only the newest counts
//	beat         a heartbeat, when it was sent nothing else for a while
//	lastWords    the close frame of a WebSocket
//
// Asides overtake whatever the client is behind with, but never stand inside a
// message. There is little of them at a time: what is outdated is not sent. (What
// a program sends to one client keeps its place: private.go.)

import (
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

const (
	// beatEvery is how long a client that beats is sent nothing before it gets
	// a heartbeat; one of hubbub.v1 that has sent none for patientBeats times
	// as long is dead. A loop looks beatLooks times meanwhile.
	beatEvery    = 25 * time.Second
	beatLooks    = 5
	patientBeats = 3
)

// aside is what waits to be sent to one client alone.
type aside struct {
	begun   []byte // is being sent, and must be to its end
	notes   []byte
	pong    []byte // a frame
	ack     uint64 // 0: nothing to acknowledge
	beating bool
}

func (c *client) hasAside() bool { return c.extra != nil && c.extra.aside != nil }

func (c *client) hasRest() bool { return c.extra != nil && c.extra.rest != nil }

func (c *client) hasLetters() bool { return c.extra != nil && c.extra.letters != nil }

// asides is what waits for c, which is sent to it as soon as it takes more.
func (l *loop) asides(c *client) *aside {
	x := c.more()
	if x.aside == nil {
		x.aside = &aside{}
		if !c.link.Blocked() {
			l.writable.add(c)
		}
	}
	return x.aside
}

// tell adds p, which is whole in c's form, to what c is told.
func (l *loop) tell(c *client, p []byte) {
	a := l.asides(c)
	a.notes = append(a.notes, p...)
}

// pack puts all that waits into one piece to be sent.
func (a *aside) pack(c *client) {
	a.begun, a.notes = append(a.begun, a.notes...), nil
	a.begun, a.pong = append(a.begun, a.pong...), nil
	if a.ack > 0 {
		a.begun, a.ack = codec.AppendAck(a.begun, a.ack), 0
	}
	if a.beating {
		a.begun, a.beating = c.Protocol().AppendHeartbeat(a.begun), false
	}
}

// sendAside sends what waits for c alone, if c stands between two messages; if
// not, it says where the message ends that comes first. It reports whether c
// takes more.
func (l *loop) sendAside(c *client, f *feed.Feed, end int64) (upTo int64, ok bool) {
	a := c.extra.aside
	if a == nil {
		return end, true
	}
	if len(a.begun) == 0 {
		if at := f.EndOf(c.cursor); at > c.cursor {
			return min(at, end), true
		}
		a.pack(c)
	}
	p := a.begun[:min(len(a.begun), sock.MaxSend)]
	n, err := c.link.Send(&feed.Piece{Bytes: p}, l.Millis())
	if !l.afterSend(c, n, err) {
		return end, false
	}
	if a.begun = a.begun[n:]; len(a.begun) > 0 {
		if !c.link.Blocked() {
			l.writable.add(c)
		}
		return end, false
	}
	if a.notes != nil || a.pong != nil || a.ack > 0 || a.beating { // came meanwhile
		return l.sendAside(c, f, end)
	}
	c.extra.aside = nil
	c.tidy()
	return end, true
}

// tellMissed tells c what it has skipped, where its form can.
func (l *loop) tellMissed(c *client) {
	x := c.extra
	if x == nil || x.missed == 0 || x.rest != nil || !c.Protocol().Beats() {
		return
	}
	if c.Protocol() == codec.ProtocolV1 {
		l.tell(c, codec.AppendSkipped(nil, x.missed, l.feed(c).Seq(c.cursor)))
	} else {
		l.tell(c, codec.AppendSkippedEvent(nil, x.missed))
	}
	l.resumed(c)
}

// beat sends heartbeats to those who were sent nothing for a while, and ends
// those who answer none.
func (l *loop) beat() {
	every := l.hub.o.pace.beat
	var v backlog.View
	l.hub.backlog.View(&v)
	for _, c := range l.clients {
		if !c.Protocol().Beats() || !c.streams() {
			continue
		}
		quiet := c.link.SinceRecv(l.Millis())
		if c.Protocol() == codec.ProtocolV1 && quiet >= patientBeats*every && !c.link.Readable() {
			l.lost(c, ending.Because(proto.ReasonDead, "dead: no heartbeat for %s", quiet.Round(time.Second)))
			continue
		}
		if c.link.SinceSent(l.Millis()) >= every && !c.link.Blocked() && c.cursor >= v.Head(c.form()) {
			l.asides(c).beating = true
		}
		// One that is never silent to must be asked all the same.
		if c.Protocol() == codec.ProtocolV1 && quiet >= every {
			l.asides(c).beating = true
		}
	}
	if l.beating > 0 {
		l.nextBeat.In(every / beatLooks)
	}
}

// goodbye is the close frame of a WebSocket, behind the reason in hubbub.v1.
// That a client is done says the close code.
func goodbye(dst []byte, p codec.Protocol, why ending.Reason) []byte {
	if p == codec.ProtocolV1 && why.Kind != proto.ReasonDone {
		dst = codec.AppendClosing(dst, why.Kind.String(), why.Text)
	}
	return codec.AppendClose(dst, why.CloseCode(), why.Text)
}

// lastWords is what c is still sent before the end of our direction: the rest
// of the message that it stands in, and why it ends.
func (l *loop) lastWords(c *client) []byte {
	if !c.Protocol().Framed() || c.link.EOF() || c.ID() == 0 {
		return nil
	}
	x := c.more()
	var p []byte
	switch {
	case x.rest != nil:
		p = append(p, x.rest...)
		x.kept.Shrink(len(x.rest))
		x.rest = nil
	case c.hasAside() && len(x.aside.begun) > 0:
		p = append(p, x.aside.begun...)
	default:
		f := l.feed(c)
		if end := f.EndOf(c.cursor); end > c.cursor {
			p = f.Read(c.cursor, end)
		}
	}
	if c.hasAside() && x.aside.ack > 0 {
		p = codec.AppendAck(p, x.aside.ack) // or the client would say it again
	}
	p = goodbye(p, c.Protocol(), x.linger.reason)
	if !x.kept.TryGrow(l.hub.rests, len(p)) {
		return nil
	}
	return p
}

// sayLastWords sends what it can of them, and ends our direction behind them.
func (l *loop) sayLastWords(c *client) error {
	x := c.extra
	for len(x.words) > 0 {
		p := x.words[:min(len(x.words), sock.MaxSend)]
		n, err := c.link.Send(&feed.Piece{Bytes: p}, l.Millis())
		if err != nil {
			return err
		}
		x.words = x.words[n:]
		x.kept.Shrink(n)
		x.linger.since = l.Now()
		if n < len(p) {
			return nil
		}
	}
	return c.link.CloseWrite()
}

// sendLastWords goes on with them when there is room.
func (l *loop) sendLastWords(c *client) {
	if len(c.extra.words) == 0 {
		return
	}
	if err := l.sayLastWords(c); err != nil {
		l.drop(c)
	}
}
