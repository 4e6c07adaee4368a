//go:build unix

package hubbub

// This file finds out what a new connection speaks. Its first bytes tell, and
// are only looked at: they stay in the socket for whoever is to read them.
//
//	silent    it has said nothing
//	expected  the same, at an address for HTTP, where nothing is sent before a
//	          request comes
//	asking    it speaks HTTP, but its request's head is not whole yet; or it may
//	          still be HTTP, as it begins like that, or is a browser's spare
//	waiting   its head is whole, but net/http has no place free
//
//	sniff            looks at what it says
//	watchStrangers   has silent ones be raw clients when there is something to
//	                 send to them, and they had time to speak
//	handOver         gives one to net/http: handover.go
//	checkFirstLine   a raw client may still be a web page's request
//
// A stranger misses nothing: its cursor stands where it stood when it was
// accepted. It is no join, and counts for nothing but its descriptor. One that
// sends its request a byte a second costs what an idle client costs, and
// occupies no place that others wait for.

import (
	"errors"
	"io"
	"slices"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/ending"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/logger"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/sock"
)

const (
	// longestHead bounds the head of a request: net/http refuses a longer one.
	longestHead = 16 << 10

	// headTime is how long the head of a request may take.
	headTime  = 10 * time.Second
	headLooks = 10 // in that time
)

// strangers are a loop's connections that are no clients yet.
type strangers struct {
	silent   roster
	expected roster
	asking   roster
	waiting  []*client // the poller does not know them; first come, first served
	placed   int64     // of hub.places, seen
	heardTo  int64     // up to where the feed goes for which nobody needs to be looked at
	saidTLS  logger.Throttle
	saidH2   logger.Throttle
}

// come takes c in.
func (s *strangers) come(l *loop, c *client) {
	if c.port == sock.HTTPProtocol {
		s.expected.add(c)
	} else {
		s.silent.add(c)
		s.heardTo = min(s.heardTo, c.out.Offset())
	}
	if l.hub.o.IdleTimeout > 0 {
		l.schedulePatrol()
	}
	if l.draining {
		l.endStrangers()
	}
}

// leave takes c out.
func (s *strangers) leave(c *client) {
	for _, r := range [...]*roster{&s.silent, &s.expected, &s.asking} {
		if c.place != nowhere && int(c.place) < len(*r) && (*r)[c.place] == c {
			r.remove(c)
			return
		}
	}
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

// all is every stranger.
func (s *strangers) all() []*client { return slices.Concat(s.silent, s.expected, s.asking, s.waiting) }

// sniff looks at what c has said so far.
func (l *loop) sniff(c *client) {
	p := l.scratch()[:longestHead]
	n, err := c.link.Peek(p)
	if c.link.UsedUp(); err != nil {
		l.sniffEnd(c, err)
		return
	}
	c.spoke = true
	opening := codec.Detect(p[:n])
	if c.port == sock.HTTPProtocol && opening == codec.OpensRaw {
		l.handOver(c) // net/http says what is wrong with it
		return
	}
	switch opening {
	case codec.OpensHTTP:
		l.ask(c, p[:n])
	case codec.OpensRaw:
		l.becomeRaw(c)
		c.unchecked = false // it has been
	case codec.OpensTLS:
		l.turnAway(c, &l.strangers.saidTLS, "it opens with a TLS handshake, which is not spoken here")
	case codec.OpensHTTP2:
		l.turnAway(c, &l.strangers.saidH2, "it opens with HTTP/2, of which only HTTP/1 is spoken here")
	case codec.Unclear:
		switch { // if it will never be more
		case c.link.PeerShut() && c.port == sock.HTTPProtocol:
			l.handOver(c)
		case c.link.PeerShut():
			l.becomeRaw(c)
		default:
			l.ask(c, p[:n])
		}
	}
}

// sniffEnd is c of which nothing can be read: for now, any more, or at all. One
// that ends its side without a word watches, if anybody.
func (l *loop) sniffEnd(c *client, err error) {
	switch {
	case errors.Is(err, sock.Again):
	case errors.Is(err, io.EOF) && !c.link.HungUp() && c.port != sock.HTTPProtocol:
		c.link.Ended()
	default:
		l.drop(c)
	}
}

// ask has net/http answer c's request, once its head is whole, is too long, or
// will not go on. Until then it is waited for, even if it may be none: one that
// sends its first word a letter a second would be a raw client otherwise, and
// be sent everything.
func (l *loop) ask(c *client, p []byte) {
	if codec.HeaderEnd(p) > 0 || len(p) == longestHead || c.link.PeerShut() {
		l.handOver(c)
		return
	}
	s := &l.strangers
	if int(c.place) >= len(s.asking) || s.asking[c.place] != c {
		s.leave(c)
		s.asking.add(c)
		c.link.Touch(l.Millis()) // it may have been silent for long
	}
	l.nextHead.In(l.hub.o.pace.head / headLooks)
}

// becomeRaw makes c a raw client.
func (l *loop) becomeRaw(c *client) {
	if c.port == sock.HTTPProtocol {
		return // it may take its time
	}
	l.strangers.leave(c)
	c.state = live
	l.welcome(c)
	if c.spoke && c.state < lingering {
		l.readSoon(c)
	}
}

// turnAway ends c, which speaks what the hub does not.
func (l *loop) turnAway(c *client, said *logger.Throttle, why string) {
	if said.Allow(l.Now()) {
		l.hub.log.Warnf("%s refused: %s%s", c.Addr(), why, said.Suppressed())
	}
	l.hub.refused.Add(1)
	_, _ = c.link.Recv(l.scratch(), l.Millis()) // unread input would make close a reset
	l.drop(c)
}

// watchStrangers looks at them when there may be something to send to one.
func (l *loop) watchStrangers() {
	s := &l.strangers
	if n := l.hub.places.Load(); len(s.waiting) > 0 && s.placed != n {
		s.placed = n
		for len(s.waiting) > 0 && l.giveAway(s.waiting[0]) {
			s.waiting = slices.Delete(s.waiting, 0, 1)
		}
	}
	if len(s.silent) > 0 && !l.nextSniff.IsSet() && (l.hub.backlog.Head() > s.heardTo || l.wanted()) {
		l.checkStrangers()
	}
}

// wanted says that silent strangers shall be clients, or be told that they may
// not, though nothing has been broadcast: somebody waits for clients, or there
// are enough.
func (l *loop) wanted() bool {
	h := l.hub
	return h.watchers.Load() > 0 || h.clients.Load() >= int64(h.o.MaxClients)
}

// checkStrangers makes those raw clients that have had time to speak and for
// whom there is something.
func (l *loop) checkStrangers() {
	s, head, wanted := &l.strangers, l.hub.backlog.Head(), l.wanted()
	s.heardTo = head
	for _, c := range slices.Clone(s.silent) {
		if c.out.Offset() >= head && !wanted {
			continue
		}
		if wait := l.hub.o.Sniff - l.age(c); wait > 0 {
			l.nextSniff.In(wait)
			s.heardTo = min(s.heardTo, c.out.Offset())
			continue
		}
		l.saysNothing(c)
	}
}

// saysNothing is c that had time to speak: a raw client, or a browser's spare.
func (l *loop) saysNothing(c *client) {
	if s := &l.strangers; l.hub.browsers.askedWithin(c.Addr(), l.age(c)+spareWithin) {
		s.silent.remove(c)
		s.asking.add(c)
		l.nextHead.In(l.hub.o.pace.head / headLooks)
		return
	}
	l.becomeRaw(c)
}

// checkHeads ends those that take too long to ask. Who has not even said by now
// that it speaks HTTP does not.
func (l *loop) checkHeads() {
	for _, c := range slices.Clone(l.strangers.asking) {
		if l.age(c) < l.hub.o.pace.head {
			l.nextHead.In(l.hub.o.pace.head / headLooks)
			continue
		}
		if l.mayBeRaw(c) {
			l.becomeRaw(c)
			continue
		}
		_, _ = c.link.Send(&feed.Piece{Bytes: []byte(tooSlow)}, l.Millis())
		_, _ = c.link.Recv(l.scratch(), l.Millis()) // unread input would make close a reset
		l.drop(c)
	}
}

// mayBeRaw says that c has not said yet that it speaks HTTP.
func (l *loop) mayBeRaw(c *client) bool {
	p := l.scratch()[:longestHead]
	n, _ := c.link.Peek(p) // an error finds c soon
	return c.port != sock.HTTPProtocol && codec.Detect(p[:n]) == codec.Unclear
}

const tooSlow = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// age is how long ago c came.
func (l *loop) age(c *client) time.Duration {
	return c.link.SinceRecv(l.Millis())
}

// patrol ends those that have said nothing for so long.
func (s *strangers) patrol(l *loop, limit time.Duration) {
	for _, c := range slices.Concat(s.silent, s.expected) {
		if l.age(c) >= limit {
			l.hub.log.Debugf("%s closed: idle for %s", c.Addr(), limit)
			l.drop(c)
		}
	}
}

// holdStrangers reports whether a silent stranger holds what lies below to: as
// long as it may still speak, and the source waits for anybody. Otherwise it
// begins behind.
func (l *loop) holdStrangers(to int64) bool {
	for _, c := range slices.Clone(l.strangers.silent) {
		if c.out.Offset() >= to {
			continue
		}
		if l.hub.o.Slow != SlowWait {
			c.out.Start(backlog.Canonical, backlog.Position{At: l.mark.Enter(backlog.Canonical, c.out.Offset())})
			continue
		}
		if l.age(c) < l.hub.o.Sniff {
			return true // checkStrangers comes back to it
		}
		if l.saysNothing(c); c.streams() {
			return true // for this turn, at least; who is refused holds nothing
		}
	}
	return false
}

// endStrangers is for when the hub drains: who has something to get, gets it.
func (l *loop) endStrangers() {
	head := l.hub.backlog.Head()
	for _, c := range slices.Concat(l.strangers.silent, l.strangers.asking) {
		if c.out.Offset() < head && l.mayBeRaw(c) {
			l.becomeRaw(c)
		}
	}
	for _, c := range l.strangers.all() {
		l.drop(c)
	}
}

// checkFirstLine reports whether what c says may be read: not before it is
// known that its first line is no HTTP request. A page of another site can have
// a browser send one anywhere; its answer it does not see, but what it says
// would be taken for messages.
func (l *loop) checkFirstLine(c *client) bool {
	p := l.scratch()
	n, err := c.link.Peek(p)
	switch {
	case errors.Is(err, sock.Again):
		return true // to find that again
	case errors.Is(err, io.EOF):
		c.unchecked = false
		return true // likewise
	case err != nil: // which is told only once
		l.lost(c, ending.Lost(err))
		return false
	}
	switch l.firstLine(p[:n], c) {
	case codec.No:
		c.unchecked = false
	case codec.Perhaps:
		c.link.UsedUp()
	case codec.Yes:
		l.hub.backlog.Forget(&c.seat) // it wants something else than it was sent, and may come again
		l.cut(c, ending.Because(proto.ReasonBreach, "it opens with an HTTP request, and is taken for a raw client"))
	}
	return !c.unchecked
}

// firstLine is codec.RequestLine with what is known of c: no more may come, or
// what has come is whole messages already where they are no lines.
func (l *loop) firstLine(p []byte, c *client) codec.Answer {
	answer := codec.RequestLine(p)
	if answer == codec.Perhaps && (c.link.PeerShut() || c.state == broken || l.hub.framing.Separator() == nil && codec.Detect(p) == codec.Unclear) {
		return codec.No
	}
	return answer
}
