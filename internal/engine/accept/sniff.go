//go:build unix

package accept

// This file finds out what a new connection speaks. Its first bytes tell, and
// are only looked at: they stay in the socket for whoever is to read them.

import (
	"errors"
	"io"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/sock"
)

// longestHead bounds the head of a request: net/http refuses a longer one.
const longestHead = 16 << 10

func (l *Lobby) scratch() []byte {
	if l.buf == nil {
		l.buf = make([]byte, longestHead)
	}
	return l.buf
}

// sniff looks at what c has said so far.
func (l *Lobby) sniff(c *Conn, now uint32) Verdict {
	p := l.scratch()
	n, err := sock.Peek(int(c.FD), p)
	if err != nil {
		return l.sniffEnd(c, err)
	}
	c.Spoke = true
	opening := codec.Detect(p[:n])
	http := c.Port == sock.HTTPProtocol
	switch {
	case opening == codec.OpensTLS:
		return l.verdict(c, Refuse, TLS)
	case opening == codec.OpensHTTP2:
		return l.verdict(c, Refuse, HTTP2)
	case opening == codec.OpensHTTP, opening == codec.Unclear && !c.PeerShut():
		return l.ask(c, p[:n], now)
	case http:
		return l.verdict(c, HTTP, None) // net/http says what is wrong with it
	}
	c.Checked = opening == codec.OpensRaw
	return l.verdict(c, Client, None) // what is unclear will never be more
}

// sniffEnd is c of which nothing can be read: for now, any more, or at all. One
// that ends its side without a word watches, if anybody.
func (l *Lobby) sniffEnd(c *Conn, err error) Verdict {
	switch {
	case errors.Is(err, sock.Again):
		c.UsedUp()
		return Verdict{}
	case errors.Is(err, io.EOF) && !c.HungUp() && c.Port != sock.HTTPProtocol:
		c.Ended()
		c.UsedUp()
		return Verdict{}
	}
	return l.verdict(c, Close, None)
}

// ask has net/http answer c's request, once its head is whole, is too long, or
// will not go on. Until then it is waited for, even if it may be none: one that
// sends its first word a letter a second would be a raw client otherwise, and
// be sent everything.
func (l *Lobby) ask(c *Conn, p []byte, now uint32) Verdict {
	if codec.HeaderEnd(p) > 0 || len(p) == longestHead || c.PeerShut() {
		return l.verdict(c, HTTP, None)
	}
	if c.phase != asking {
		l.move(c, asking)
		c.came = now // it may have been silent for long
	}
	l.heads.in(now, l.Head/headLooks)
	return Verdict{}
}

// saysNothing is c that had time to speak: a raw client, or a browser's spare.
func (l *Lobby) saysNothing(c *Conn, now uint32) Verdict {
	if l.Preconnects.askedWithin(c.Addr, c.age(now)+spareWithin) {
		l.move(c, asking)
		l.heads.in(now, l.Head/headLooks)
		return Verdict{}
	}
	return l.verdict(c, Client, None)
}

// FirstLine says whether a raw client opens with an HTTP request, as a page of
// another site can have a browser send one anywhere: its answer the page does
// not see, but what it says would be taken for messages. With all, no more will
// come; with whole, p is whole messages already, where they are no lines.
func FirstLine(p []byte, all, whole bool) codec.Answer {
	answer := codec.RequestLine(p)
	if answer == codec.Perhaps && (all || whole && codec.Detect(p) == codec.Unclear) {
		return codec.No
	}
	return answer
}
