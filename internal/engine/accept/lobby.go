//go:build unix

package accept

import (
	"errors"
	"slices"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/poll"
	"hubbub.example/internal/sock"
)

const (
	// HeadTime is how long the head of a request may take. It is checked
	// headLooks times per HeadTime.
	HeadTime  = 10 * time.Second
	headLooks = 10

	// A refused connection lingers until its end of file, for lingerTime, or for
	// lingerLonger if it has not acknowledged the reason. At most lingerBytes of
	// its input are read.
	lingerTime   = time.Second
	lingerLonger = 5 * time.Second
	lingerBytes  = 256 << 10
)

// Do is what to do with a connection.
type Do uint8

const (
	Stay   Do = iota // nothing
	Client           // make it a raw client
	HTTP             // give it to net/http
	Refuse           // refuse it for Why
	Close            // close it, for Why if that is not None
)

// Why is why a connection may not stay.
type Why uint8

const (
	None     Why = iota
	TLS          // it opens with a TLS handshake
	HTTP2        // it opens with HTTP/2
	SlowHead     // its request's head takes too long
	Idle         // it has said nothing for too long
)

// Verdict is what to do with a connection. Unless it is Stay, the connection has
// left the lobby.
type Verdict struct {
	Conn Conn
	Do   Do
	Why  Why
}

// Rules are how connections in a lobby are treated.
type Rules struct {
	Sniff       time.Duration // how long one may say nothing before it counts as raw
	Head        time.Duration // how long the head of a request may take
	Preconnects *Preconnects
}

// Lobby has the connections of a loop that are no clients yet. The zero value with
// Rules is ready.
type Lobby struct {
	Rules

	byFD    []*Conn
	rosters [phases][]*Conn // waiting: first come, first served
	head    int64           // up to this head of the feed no silent connection misses anything

	// When silent connections, heads and refused connections are checked.
	sniffing, heads, ends alarm

	buf []byte
}

// alarm is a time in the loop's milliseconds.
type alarm struct {
	set bool
	at  uint32
}

// in sets a to d from now, unless it is earlier.
func (a *alarm) in(now uint32, d time.Duration) {
	at := now + uint32((d+time.Millisecond-1)/time.Millisecond)
	if !a.set || int32(at-a.at) < 0 {
		*a = alarm{true, at}
	}
}

// due reports whether a has come, and clears it then.
func (a *alarm) due(now uint32) bool {
	if !a.set || int32(now-a.at) < 0 {
		return false
	}
	a.set = false
	return true
}

// Find returns the connection with this descriptor, or nil.
func (l *Lobby) Find(fd int) *Conn {
	if fd < len(l.byFD) {
		return l.byFD[fd]
	}
	return nil
}

// Len returns how many connections there are, refused ones included.
func (l *Lobby) Len() (n int) {
	for _, r := range l.rosters {
		n += len(r)
	}
	return n
}

// Quiet returns how many connections have sent nothing.
func (l *Lobby) Quiet() int { return len(l.rosters[silent]) + len(l.rosters[expected]) }

// Come adds c, which the poller has.
func (l *Lobby) Come(c Conn, now uint32) {
	if c.phase = silent; c.Port == sock.HTTPProtocol {
		c.phase = expected
	} else {
		l.head = min(l.head, c.Start)
	}
	c.came = now
	l.enter(&c)
}

// Wait has c wait for a place at net/http.
func (l *Lobby) Wait(c Conn) {
	c.phase = waiting
	l.enter(&c)
}

// FirstWaiting returns the connection that waits longest for net/http.
func (l *Lobby) FirstWaiting() (c Conn, ok bool) {
	if r := l.rosters[waiting]; len(r) > 0 {
		return *r[0], true
	}
	return Conn{}, false
}

// TakeWaiting removes it.
func (l *Lobby) TakeWaiting() { l.leave(l.rosters[waiting][0]) }

// Linger keeps c, which was refused, until its end.
func (l *Lobby) Linger(c Conn, now uint32) Verdict {
	c.phase, c.came = lingering, now
	l.enter(&c)
	l.ends.in(now, lingerTime/4)
	return l.discard(&c)
}

func (l *Lobby) enter(c *Conn) {
	for len(l.byFD) <= int(c.FD) {
		l.byFD = append(l.byFD, make([]*Conn, 1024)...)
	}
	l.byFD[c.FD] = c
	l.join(c)
}

func (l *Lobby) join(c *Conn) {
	r := &l.rosters[c.phase]
	c.index = int32(len(*r))
	*r = append(*r, c)
}

// part removes c from its roster. The last one takes its place, except where the
// order counts.
func (l *Lobby) part(c *Conn) {
	r := &l.rosters[c.phase]
	last := len(*r) - 1
	if c.phase == waiting {
		for _, other := range (*r)[c.index+1:] {
			other.index--
		}
		*r = slices.Delete(*r, int(c.index), int(c.index)+1)
		return
	}
	moved := (*r)[last]
	(*r)[c.index], moved.index = moved, c.index
	(*r)[last] = nil
	*r = (*r)[:last]
}

// move has c wait for something else.
func (l *Lobby) move(c *Conn, to phase) {
	l.part(c)
	c.phase = to
	l.join(c)
}

// leave removes c.
func (l *Lobby) leave(c *Conn) {
	l.part(c)
	l.byFD[c.FD] = nil
}

// verdict makes the verdict on c, which leaves unless it is Stay.
func (l *Lobby) verdict(c *Conn, do Do, why Why) Verdict {
	if do == Stay {
		return Verdict{}
	}
	l.leave(c)
	return Verdict{*c, do, why}
}

// Event returns what to do with c after an event.
func (l *Lobby) Event(c *Conn, e *poll.Event, now uint32) Verdict {
	read, _ := c.Ready.Event(e)
	switch {
	case !read:
		return Verdict{}
	case c.phase == lingering:
		return l.discard(c)
	}
	return l.sniff(c, now)
}

// Turn returns what to do with connections that have waited long enough: silent
// ones once there is something to send or clients are wanted, and those that take
// too long to ask or to end.
func (l *Lobby) Turn(now uint32, head int64, wanted bool) (all []Verdict) {
	if l.sniffing.due(now) || !l.sniffing.set && len(l.rosters[silent]) > 0 && (head > l.head || wanted) {
		all = l.lookAtSilent(now, head, wanted)
	}
	if l.heads.due(now) {
		all = append(all, l.lookAtHeads(now)...)
	}
	if l.ends.due(now) {
		all = append(all, l.lookAtEnds(now)...)
	}
	return all
}

// Next returns when Turn has something to do by the clock. An empty lobby has nothing:
// its alarms may be left from connections that are clients by now.
func (l *Lobby) Next(now uint32) (in time.Duration, ok bool) {
	if l.Len() == 0 {
		return 0, false
	}
	for _, a := range [...]alarm{l.sniffing, l.heads, l.ends} {
		if !a.set {
			continue
		}
		if d := time.Duration(int32(a.at-now)) * time.Millisecond; !ok || d < in {
			in, ok = d, true
		}
	}
	return max(in, 0), ok
}

// lookAtSilent makes raw clients of silent connections that had time to send
// something and for which there is something to send.
func (l *Lobby) lookAtSilent(now uint32, head int64, wanted bool) (all []Verdict) {
	l.head = head
	for _, c := range slices.Clone(l.rosters[silent]) {
		if c.Start >= head && !wanted {
			continue
		}
		if wait := l.Sniff - c.age(now); wait > 0 {
			l.sniffing.in(now, wait)
			l.head = min(l.head, c.Start)
			continue
		}
		if v := l.saysNothing(c, now); v.Do != Stay {
			all = append(all, v)
		}
	}
	return all
}

// lookAtHeads refuses requests that take too long. A connection whose bytes are not
// certainly HTTP by then is raw.
func (l *Lobby) lookAtHeads(now uint32) (all []Verdict) {
	for _, c := range slices.Clone(l.rosters[asking]) {
		switch {
		case c.age(now) < l.Head:
			l.heads.in(now, l.Head/headLooks)
		case l.mayBeRaw(c):
			all = append(all, l.verdict(c, Client, None))
		default:
			all = append(all, l.verdict(c, Refuse, SlowHead))
		}
	}
	return all
}

// lookAtEnds ends the lingering of refused ones.
func (l *Lobby) lookAtEnds(now uint32) (all []Verdict) {
	for _, c := range slices.Clone(l.rosters[lingering]) {
		unacked, err := sock.Unacked(int(c.FD))
		if age := c.age(now); age >= lingerLonger || age >= lingerTime && (err != nil || unacked == 0) {
			all = append(all, l.verdict(c, Close, None))
		}
	}
	if len(l.rosters[lingering]) > 0 {
		l.ends.in(now, lingerTime/4)
	}
	return all
}

// discard reads what a refused connection still sends: close with unread input
// would be a reset, and lose the reason.
func (l *Lobby) discard(c *Conn) Verdict {
	for c.dropped < lingerBytes || c.PeerShut() { // after its end there is no more
		n, err := sock.Recv(int(c.FD), l.scratch())
		if errors.Is(err, sock.Again) {
			return Verdict{}
		}
		if err != nil {
			c.Ended()
			return l.verdict(c, Close, None)
		}
		c.dropped += uint32(n)
	}
	return Verdict{}
}

// Idle returns connections that have sent nothing for limit.
func (l *Lobby) Idle(now uint32, limit time.Duration) (all []Verdict) {
	for _, c := range slices.Concat(l.rosters[silent], l.rosters[expected]) {
		if c.age(now) >= limit {
			all = append(all, l.verdict(c, Close, Idle))
		}
	}
	return all
}

// Below reports whether a silent connection still needs what lies below to, because
// it may still speak. The others get a verdict.
func (l *Lobby) Below(to int64, now uint32) (kept bool, all []Verdict) {
	for _, c := range slices.Clone(l.rosters[silent]) {
		switch {
		case c.Start >= to:
		case c.age(now) < l.Sniff:
			kept = true // until Turn decides
		default:
			if v := l.saysNothing(c, now); v.Do != Stay {
				all = append(all, v)
			}
		}
	}
	return kept, all
}

// Advance moves the start of silent connections that begin below to.
func (l *Lobby) Advance(to int64, later func(start int64) int64) {
	for _, c := range l.rosters[silent] {
		if c.Start < to {
			c.Start = later(c.Start)
		}
	}
}

// Drain returns what to do with all connections when the feed ends at head: raw ones
// that have something to receive become clients.
func (l *Lobby) Drain(head int64) (all []Verdict) {
	for _, p := range []phase{silent, asking, expected, waiting} {
		for _, c := range slices.Clone(l.rosters[p]) {
			if p <= asking && p != expected && c.Start < head && l.mayBeRaw(c) {
				all = append(all, l.verdict(c, Client, None))
			} else {
				all = append(all, l.verdict(c, Close, None))
			}
		}
	}
	return all
}

// Empty removes all connections.
func (l *Lobby) Empty() (all []Conn) {
	for _, r := range l.rosters {
		for _, c := range slices.Clone(r) {
			l.leave(c)
			all = append(all, *c)
		}
	}
	return all
}

// Shrink frees unused capacity: slices.Concat copies, and keeps nothing of an empty
// list.
func (l *Lobby) Shrink() {
	for i := range l.rosters {
		l.rosters[i] = slices.Concat(l.rosters[i])
	}
	last := len(l.byFD)
	for last > 0 && l.byFD[last-1] == nil {
		last--
	}
	l.byFD = slices.Concat(l.byFD[:last])
	l.buf = nil
}

// mayBeRaw reports whether the bytes of c are not certainly HTTP.
func (l *Lobby) mayBeRaw(c *Conn) bool {
	p := l.scratch()
	n, _ := sock.Peek(int(c.FD), p) // an error shows again soon
	return c.Port != sock.HTTPProtocol && codec.Detect(p[:n]) == codec.Unclear
}
