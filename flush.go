//go:build unix

package hubbub

// This file is how bytes of the feed reach clients:
//
//	flush    goes on with those whose sockets have room again, then with all
//	         of the loop's clients, a slice a turn: others are read from in
//	         between. How far the feeds go is looked at once, before letters
//	         are opened (private.go)
//	send     gives one client what lies between its cursor and the head
//
// A client whose socket is full is passed over until its event says that there
// is room again. One that has all costs a comparison.

import (
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/feed"
	"hubbub.example/internal/sock"
)

const (
	// slice is how many clients are sent to, and sliceBytes how much, before
	// the loop looks for events again: about a millisecond's work.
	slice      = 128
	sliceBytes = 4 << 20

	// bigSpan is from where on sendfile(2), which copies nothing, is cheaper
	// than send(2), which has less to set up.
	bigSpan = 16 << 10
)

// pass is one walk through a loop's clients.
type pass struct {
	next  int   // the client to go on with; 0: no walk is under way
	head  int64 // what the last walk that was begun brought everybody to
	again bool  // somebody could take more, or the list changed meanwhile
}

// flush sends a slice.
func (l *loop) flush() {
	l.hub.backlog.View(&l.view)
	l.openLetters()
	until := l.stats.bytesOut + sliceBytes
	n := 0
	// The walk, which alone reaches those who had all, has its share.
	for n < slice*3/4 && n < len(l.writable.clients) && l.stats.bytesOut < until-sliceBytes/4 {
		if c := l.writable.at(n); c.streams() && !c.link.Blocked() {
			l.send(c)
		}
		n++
	}
	l.writable.drop(n)
	l.walk(slice-n, until)
}

// walk goes on with the pass for at most n clients, one at least, or begins
// one if there is something to send.
func (l *loop) walk(n int, until int64) {
	p := &l.pass
	head := l.view.Head(backlog.Canonical)
	if p.next == 0 {
		if head == p.head && !p.again {
			return
		}
		p.head, p.again = head, false
	}
	for ; n > 0 && p.next < len(l.clients) && l.stats.bytesOut < until; p.next++ {
		c := l.clients[p.next]
		if c.link.Blocked() || !c.streams() || c.cursor >= l.view.Head(c.form()) && c.state == live && !c.hasRest() {
			continue
		}
		l.send(c)
		n--
	}
	if p.next >= len(l.clients) {
		p.next = 0
	}
}

// credit remembers up to where c has heard its feed.
func (l *loop) credit(c *client) {
	l.mark.Delivered(&c.seat, &backlog.Delivery{
		Encoding: c.form(), At: c.cursor, Sent: c.link.Sent(), FD: c.link.FD(), Spoke: c.spoke || c.link.EOF(), Millis: l.Millis(),
	})
}

// feed is the feed that c reads.
func (l *loop) feed(c *client) *feed.Feed { return l.hub.backlog.Feed(c.form()) }

// flushing says that there is more to send at once.
func (l *loop) flushing() bool {
	return len(l.writable.clients) > 0 || l.pass.next != 0 || l.pass.again || l.hub.backlog.Head() != l.pass.head
}

// send gives c what it has not had. One that is kicked and does not take that is
// ended, behind what it did take.
func (l *loop) send(c *client) {
	l.sendSome(c)
	if c.link.Blocked() && c.kicked && c.streams() {
		l.endFor(c, c.extra.linger.reason)
	}
}

// sendSome gives c at most sock.MaxSend bytes, so that one client far behind does
// not keep the others waiting.
func (l *loop) sendSome(c *client) {
	if c.hasRest() && !l.sendRest(c) {
		return
	}
	f := l.feed(c)
	end := l.view.Head(c.form())
	if c.state == finishing {
		end = min(end, c.extra.goal)
	}
	all := end
	if c.not.Load() > 0 {
		end = l.passBy(c, f, end)
	}
	if c.extra != nil {
		l.tellMissed(c)
		if c.extra.letters != nil {
			end = l.upToLetter(c, f, end)
		}
		var ok bool
		if end, ok = l.sendAside(c, f, end); !ok {
			return
		}
	}
	if c.past && c.cursor < end {
		l.sendPast(c, end)
		return
	}
	if c.cursor < end {
		p := l.span(c, end)
		n, err := c.link.Send(&p, l.Millis())
		if !l.afterSend(c, n, err) {
			return
		}
		c.cursor += int64(n)
		l.resumed(c)
		l.credit(c)
		if n == p.Len() {
			l.goOn(c, all)
		}
	}
	if c.hasLetters() && !c.link.Blocked() {
		l.writable.add(c)
	}
	if c.cursor >= all {
		l.caughtUp(c)
	}
}

// goOn sees to it that c is sent more, if there is more and it takes it.
func (l *loop) goOn(c *client, end int64) {
	switch {
	case c.hasAside():
		l.writable.add(c)
	case c.cursor < end:
		l.pass.again = true
	}
}

// hasRoom is c whose socket has room again.
func (l *loop) hasRoom(c *client) {
	switch {
	case c.streams():
		if l.lag(c) > link.Unsent { // it is behind, but has just taken something
			c.link.WidenUnsent()
		}
		l.writable.add(c)
	case c.state == lingering:
		l.sendLastWords(c)
	}
}

// caughtUp is c that has all there is for it.
func (l *loop) caughtUp(c *client) {
	if c.state == finishing && c.cursor >= c.extra.goal && !l.hears(c) && !c.hasAside() && !c.hasLetters() {
		l.farewell(c)
	}
}

// span is one system call's worth of the feed, from c's cursor on.
func (l *loop) span(c *client, end int64) feed.Piece {
	f := l.feed(c)
	all := min(end-c.cursor, sock.MaxSend)
	if all < bigSpan || f.File() < 0 {
		// Across a segment's end a short span is not in one piece.
		if p := f.Span(c.cursor, c.cursor+all); int64(len(p)) == all || f.File() < 0 {
			return feed.Piece{Bytes: p}
		}
	}
	return feed.Piece{File: f.File(), At: c.cursor, N: int(all)}
}

// sendRest sends what c must still get of a message that is gone from the
// feed, and says whether that is done.
func (l *loop) sendRest(c *client) bool {
	x := c.extra
	p := x.rest[:min(len(x.rest), sock.MaxSend)]
	n, err := c.link.Send(&feed.Piece{Bytes: p}, l.Millis())
	if !l.afterSend(c, n, err) {
		return false
	}
	x.kept.Shrink(n)
	if x.rest = x.rest[n:]; len(x.rest) > 0 {
		l.pass.again = l.pass.again || !c.link.Blocked()
		return false
	}
	x.rest = nil
	c.tidy()
	return true
}

// afterSend counts what was sent, and says whether anything was.
func (l *loop) afterSend(c *client, n int, err error) bool {
	if err != nil {
		l.fell(c, err)
		return false
	}
	if n > 0 {
		l.stats.bytesOut += int64(n)
		l.stats.sends++
		if c.link.Unsettle() {
			l.schedulePatrol()
		}
	}
	return n > 0
}
