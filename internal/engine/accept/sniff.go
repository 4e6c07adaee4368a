//go:build unix

package accept

// This file detects the protocol of a new connection from its first bytes. It only
// peeks at them: they stay in the socket.

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

// sniff decides about c by the bytes that it has sent.
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
		return l.verdict(c, HTTP, None) // net/http answers what is wrong
	}
	c.Checked = opening == codec.OpensRaw
	return l.verdict(c, Client, None) // what is unclear stays so: no more comes
}

// sniffEnd decides about c after a peek failed. A connection that ends its side
// without a byte may be a watcher.
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

// ask gives c to net/http once the head of its request is complete, too long, or
// ended. Until then it waits, even if this may be no request: a request that comes
// a letter a second would become a raw client otherwise.
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

// saysNothing decides about c, which had time to send something: it is a raw client
// or a browser's spare connection.
func (l *Lobby) saysNothing(c *Conn, now uint32) Verdict {
	if l.Preconnects.askedWithin(c.Addr, c.age(now)+spareWithin) {
		l.move(c, asking)
		l.heads.in(now, l.Head/headLooks)
		return Verdict{}
	}
	return l.verdict(c, Client, None)
}

// FirstLine reports whether a raw client's input p begins with an HTTP request. A
// page of any site can have a browser send one to any port: the page does not see
// the answer, but its body would become messages. all means that no more input
// comes, whole that p is whole messages, where messages are no lines.
func FirstLine(p []byte, all, whole bool) codec.Answer {
	answer := codec.RequestLine(p)
	if answer == codec.Perhaps && (all || whole && codec.Detect(p) == codec.Unclear) {
		return codec.No
	}
	return answer
}
