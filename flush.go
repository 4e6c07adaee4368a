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
	"errors"

	"hubbub.example/internal/proto"
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

	// unsentBound is how much the kernel holds for a client, besides what is
	// on the wire (TCP_NOTSENT_LOWAT); else a client at lunch pins megabytes.
	// trustedBound is the same for one that catches up in bulk.
	unsentBound  = 128 << 10
	trustedBound = 1 << 20
)

// pass is one walk through a loop's clients.
type pass struct {
	next  int   // the client to go on with; 0: no walk is under way
	head  int64 // what the last walk that was begun brought everybody to
	again bool  // somebody could take more, or the list changed meanwhile
}

// flush sends a slice.
func (l *loop) flush() {
	l.heads = l.hub.heads()
	l.openLetters()
	until := l.stats.bytesOut + sliceBytes
	n := 0
	// The walk, which alone reaches those who had all, has its share.
	for n < slice*3/4 && n < len(l.roomy) && l.stats.bytesOut < until-sliceBytes/4 {
		if c := l.roomy[n]; c.streams() && !c.full {
			l.send(c)
		}
		n++
	}
	l.roomy = l.roomy[:copy(l.roomy, l.roomy[n:])]
	l.walk(slice-n, until)
}

// walk goes on with the pass for at most n clients, one at least, or begins
// one if there is something to send.
func (l *loop) walk(n int, until int64) {
	p := &l.pass
	head := l.heads[asTheyCame]
	if p.next == 0 {
		if head == p.head && !p.again {
			return
		}
		p.head, p.again = head, false
	}
	for ; n > 0 && p.next < len(l.clients) && l.stats.bytesOut < until; p.next++ {
		c := l.clients[p.next]
		if c.full || !c.streams() || c.cursor >= l.heads[c.form()] && c.state == live && !c.hasRest() {
			continue
		}
		l.send(c)
		n--
	}
	if p.next >= len(l.clients) {
		p.next = 0
	}
}

// heads is how far each form's feed goes.
func (h *Hub) heads() (heads [forms]int64) {
	for f := range h.wires {
		if w := h.wires[f].Load(); w != nil {
			heads[f] = w.feed.Head()
		}
	}
	return heads
}

// flushing says that there is more to send at once.
func (l *loop) flushing() bool {
	return len(l.roomy) > 0 || l.pass.next != 0 || l.pass.again || l.hub.feed.Head() != l.pass.head
}

// send gives c what it has not had. One that is kicked and does not take that is
// ended, behind what it did take.
func (l *loop) send(c *client) {
	l.sendSome(c)
	if c.full && c.kicked && c.streams() {
		l.endFor(c, proto.ClosePolicyViolation, c.extra.linger.reason)
	}
}

// sendSome gives c at most sock.MaxSend bytes, so that one client far behind does
// not keep the others waiting.
func (l *loop) sendSome(c *client) {
	if c.hasRest() && !l.sendRest(c) {
		return
	}
	w := l.wire(c)
	end := l.heads[c.form()]
	if c.state == finishing {
		end = min(end, c.extra.goal)
	}
	all := end
	if c.not.Load() > 0 {
		end = l.passBy(c, w.feed, end)
	}
	if c.extra != nil {
		l.tellMissed(c)
		if c.extra.letters != nil {
			end = l.upToLetter(c, w.feed, end)
		}
		var ok bool
		if end, ok = l.sendAside(c, w, end); !ok {
			return
		}
	}
	if c.past && c.cursor < end {
		l.sendPast(c, end)
		return
	}
	if c.cursor < end {
		n, asked, err := l.sendSpan(c, end)
		if !l.afterSend(c, n, asked, err) {
			return
		}
		c.cursor += int64(n)
		l.resumed(c)
		l.credit(c)
		if n == asked {
			l.goOn(c, all)
		}
	}
	if c.hasLetters() && !c.full {
		l.roomy = append(l.roomy, c)
	}
	if c.cursor >= all {
		l.caughtUp(c)
	}
}

// goOn sees to it that c is sent more, if there is more and it takes it.
func (l *loop) goOn(c *client, end int64) {
	switch {
	case c.hasAside():
		l.roomy = append(l.roomy, c)
	case c.cursor < end:
		l.pass.again = true
	}
}

// hasRoom is c whose socket has room again.
func (l *loop) hasRoom(c *client) {
	switch {
	case c.streams():
		c.full = false
		l.trust(c)
		l.roomy = append(l.roomy, c)
	case c.state == lingering:
		c.full = false
		l.sendLastWords(c)
	}
}

// caughtUp is c that has all there is for it.
func (l *loop) caughtUp(c *client) {
	if c.state == finishing && c.cursor >= c.extra.goal && !l.hears(c) && !c.hasAside() && !c.hasLetters() {
		l.farewell(c)
	}
}

// trust lets the kernel take more at a time for a client that is behind, but
// has just taken something: a tight bound all the time would cost a system
// call for every 64 KiB. A patrol that finds that it has all ends that, and so
// does a look that finds that it takes nothing more.
func (l *loop) trust(c *client) {
	if !c.trusted && l.lag(c) > unsentBound && !c.addr.IsUnix() {
		c.trusted = true
		_ = sock.BoundUnsent(int(c.fd), trustedBound)
	}
}

func (l *loop) distrust(c *client) {
	if c.trusted {
		c.trusted = false
		_ = sock.BoundUnsent(int(c.fd), unsentBound)
	}
}

// sendSpan is one system call's worth of the feed, from c's cursor on.
func (l *loop) sendSpan(c *client, end int64) (n, asked int, err error) {
	f := l.wire(c).feed
	all := min(end-c.cursor, sock.MaxSend)
	if all < bigSpan || f.File() < 0 {
		// Across a segment's end a short span is not in one piece.
		if p := f.Span(c.cursor, c.cursor+all); int64(len(p)) == all || f.File() < 0 {
			n, err = sock.Send(int(c.fd), p)
			return n, len(p), err
		}
	}
	n, err = sock.SendFile(int(c.fd), f.File(), c.cursor, int(all))
	return n, int(all), err
}

// sendRest sends what c must still get of a message that is gone from the
// feed, and says whether that is done.
func (l *loop) sendRest(c *client) bool {
	x := c.extra
	p := x.rest[:min(len(x.rest), sock.MaxSend)]
	n, err := sock.Send(int(c.fd), p)
	if !l.afterSend(c, n, len(p), err) {
		return false
	}
	x.kept.Shrink(n)
	if x.rest = x.rest[n:]; len(x.rest) > 0 {
		l.pass.again = l.pass.again || !c.full
		return false
	}
	x.rest = nil
	c.tidy()
	return true
}

// afterSend counts what was sent, and says whether anything was.
func (l *loop) afterSend(c *client, n, asked int, err error) bool {
	if err != nil && !errors.Is(err, sock.Again) {
		l.fell(c, err)
		return false
	}
	c.full = n < asked
	if n > 0 {
		c.sent += int64(n)
		c.sentAt = l.millis
		l.stats.bytesOut += int64(n)
		l.stats.sends++
	}
	if n > 0 && !c.unsettled {
		c.unsettled = true
		l.schedulePatrol()
	}
	return n > 0
}
