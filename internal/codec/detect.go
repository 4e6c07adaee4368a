// This file detects the protocol of a connection from its first bytes:
//
//	Detect        HTTP, a raw client, or what hubbub refuses
//	RequestLine   whether a raw client's first line is an HTTP request
//	HeaderEnd     where an HTTP header ends
//
// More bytes never change an answer, except Unclear and Perhaps.

package codec

import (
	"bytes"
	"strings"
)

// Opening is the protocol that the first bytes of a connection indicate.
type Opening uint8

// What a connection may open with.
const (
	Unclear    Opening = iota // too few bytes to tell
	OpensRaw                  // anything else
	OpensHTTP                 // an HTTP method and a space
	OpensTLS                  // a record of a TLS handshake (RFC 8446, 5.1)
	OpensHTTP2                // the client preface of HTTP/2 (RFC 9113, 3.4)
)

// methods are those of RFC 9110, section 9.3, and RFC 5789's. They are
// case-sensitive. The space belongs to it: "GETTING" is not a request.
var methods = []string{
	"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ",
}

const preface = "PRI * HTTP/2.0"

// Detect detects the protocol of a connection that begins with p.
func Detect(p []byte) Opening {
	method, unclear := beginsWithMethod(p)
	switch {
	case method != "":
		return OpensHTTP
	case bytes.HasPrefix(p, []byte(preface)):
		return OpensHTTP2
	case unclear || strings.HasPrefix(preface, string(p)):
		return Unclear
	}
	return detectTLS(p)
}

// detectTLS looks for a handshake record of a version that exists: 0x16, 3,
// and 0 to 4.
func detectTLS(p []byte) Opening {
	const handshake, major, lastMinor = 0x16, 3, 4
	switch {
	case p[0] != handshake,
		len(p) > 1 && p[1] != major,
		len(p) > 2 && p[2] > lastMinor:
		return OpensRaw
	case len(p) < 3:
		return Unclear
	}
	return OpensTLS
}

// beginsWithMethod returns the method that p begins with, with its space. unclear
// reports whether p is the beginning of one.
func beginsWithMethod(p []byte) (method string, unclear bool) {
	for _, m := range methods {
		n := min(len(m), len(p))
		if string(p[:n]) != m[:n] {
			continue
		}
		if n == len(m) {
			return m, false
		}
		unclear = true
	}
	return "", unclear
}

// Answer is an answer while bytes are still coming.
type Answer uint8

// The answers. Perhaps is the only one that more bytes may change.
const (
	No Answer = iota
	Perhaps
	Yes
)

// longestRequestLine is where RequestLine stops waiting for the end of the line: a
// web page can make a URL of any length.
const longestRequestLine = 16 << 10

// RequestLine reports whether p begins with an HTTP request line (RFC 9112,
// section 3): a method, a target and HTTP/d.d. "GET me a beer" is none.
func RequestLine(p []byte) Answer {
	switch Detect(p) {
	case Unclear:
		return Perhaps
	case OpensHTTP2:
		return Yes
	case OpensRaw, OpensTLS:
		return No
	}
	method, _ := beginsWithMethod(p)
	line := p[:min(len(p), longestRequestLine)]
	end := bytes.IndexFunc(line, control)
	switch {
	case end < 0 && len(p) > longestRequestLine:
		// Only what is meant for a proxy has a target without "/" in front.
		return answer(line[len(method)] == '/')
	case end < 0, p[end] == '\r' && end+1 == len(p):
		return Perhaps
	case p[end] == '\n', p[end] == '\r' && p[end+1] == '\n':
		return answer(endsInVersion(p[len(method):end]))
	}
	return No // no browser puts a control character there
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// endsInVersion looks for " HTTP/1.1", whatever the digits.
func endsInVersion(line []byte) bool {
	const form = " HTTP/d.d"
	if len(line) < len(form) {
		return false
	}
	for i, b := range line[len(line)-len(form):] {
		if form[i] != b && (form[i] != 'd' || b < '0' || b > '9') {
			return false
		}
	}
	return true
}

// HeaderEnd returns the length of the HTTP header that p begins with, its blank
// line included; 0 while it is not whole. As in net/http, a line may end
// without CR (RFC 9112, section 2.2).
func HeaderEnd(p []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(p[at:], '\n')
		if n < 0 {
			return 0
		}
		line := p[at : at+n]
		at += n + 1
		if len(line) == 0 || string(line) == "\r" {
			return at
		}
	}
}
