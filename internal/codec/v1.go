// This file is what the hub says in hubbub.v1, JSON in WebSocket text frames
// (docs/protocol.md): AppendHello, AppendNumbered, … append whole frames.
//
// AppendNumbered is on every message's way to the clients. It finds out how
// long the JSON will be before it writes any: a frame's header stands in
// front and is as long as that needs.

package codec

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"hubbub.example/internal/proto"
)

// Hello is the hub's first words to a client.
type Hello struct {
	Epoch     string
	ID        uint64 // the client's number
	Seq       uint64 // the last message before the first that comes
	Missed    uint64 // messages that are gone; 0 is left out
	Unknown   bool   // the resume point is not known; false is left out
	Heartbeat int    // in seconds
	Longest   int    // message, in bytes
	Ack       uint64 // the highest number that the hub has of the session; 0 for none
}

// AppendHello appends h.
func AppendHello(dst []byte, h Hello) []byte {
	var buffer [256]byte
	p := append(buffer[:0], `{"type":"hello","epoch":"`...)
	p = proto.AppendEscaped(p, []byte(h.Epoch))
	p = strconv.AppendUint(append(p, `","id":`...), h.ID, 10)
	p = strconv.AppendUint(append(p, `,"seq":`...), h.Seq, 10)
	if h.Missed > 0 {
		p = strconv.AppendUint(append(p, `,"missed":`...), h.Missed, 10)
	}
	if h.Unknown {
		p = append(p, `,"unknown":true`...)
	}
	p = strconv.AppendInt(append(p, `,"heartbeat":`...), int64(h.Heartbeat), 10)
	p = strconv.AppendInt(append(p, `,"longest":`...), int64(h.Longest), 10)
	p = strconv.AppendUint(append(p, `,"ack":`...), h.Ack, 10)
	return AppendText(dst, append(p, '}'))
}

// AppendSkipped appends the notice that count messages, the last of them
// seq, were skipped.
func AppendSkipped(dst []byte, count int64, seq uint64) []byte {
	var buffer [96]byte
	p := strconv.AppendInt(append(buffer[:0], `{"type":"skipped","count":`...), count, 10)
	p = strconv.AppendUint(append(p, `,"seq":`...), seq, 10)
	return AppendText(dst, append(p, '}'))
}

// AppendPassed appends that the client does not get the messages up to seq that
// it has not been sent.
func AppendPassed(dst []byte, seq uint64) []byte {
	var buffer [64]byte
	p := strconv.AppendUint(append(buffer[:0], `{"type":"passed","seq":`...), seq, 10)
	return AppendText(dst, append(p, '}'))
}

// AppendAck appends that the hub has the client's messages up to number n.
func AppendAck(dst []byte, n uint64) []byte {
	var buffer [64]byte
	p := strconv.AppendUint(append(buffer[:0], `{"type":"ack","n":`...), n, 10)
	return AppendText(dst, append(p, '}'))
}

// AppendClosing appends why the hub is about to close the connection: a code
// for programs, a reason for people.
func AppendClosing(dst []byte, code, reason string) []byte {
	var buffer [256]byte
	p := append(append(buffer[:0], `{"type":"close","code":"`...), code...)
	p = proto.AppendString(append(p, `","reason":`...), reason)
	return AppendText(dst, append(p, `}`...))
}

// AppendHeartbeat appends what shows that the connection lives.
func AppendHeartbeat(dst []byte) []byte { return AppendText(dst, []byte(`{"type":"heartbeat"}`)) }

// By is the client that said a message. An id of 0: none did.
type By struct {
	ID   uint64
	Name string
}

// AppendNumbered appends a broadcast message, when it was broadcast, and who
// said it.
func AppendNumbered(dst []byte, seq uint64, at time.Time, by By, message []byte) []byte {
	var buffer [256]byte
	head := strconv.AppendUint(append(buffer[:0], `{"type":"message","seq":`...), seq, 10)
	head = append(appendTime(append(head, `,"time":"`...), at), `",`...)
	if by.ID != 0 {
		head = append(strconv.AppendUint(append(head, `"id":`...), by.ID, 10), ',')
	}
	if by.Name != "" {
		head = append(proto.AppendEscaped(append(head, `"name":"`...), []byte(by.Name)), `",`...)
	}
	return appendTextWith(dst, head, message)
}

// AppendPrivate appends a message to one client alone.
func AppendPrivate(dst, message []byte) []byte {
	return appendTextWith(dst, []byte(`{"type":"private",`), message)
}

// appendTextWith appends an object that begins with head, as text if message is
// that, else in base64.
func appendTextWith(dst, head, message []byte) []byte {
	name, length := `"text":"`, len(message)
	plain := proto.PlainLen(message)
	opaque := plain < len(message) && !utf8.Valid(message[plain:])
	switch {
	case opaque:
		name, length = `"base64":"`, base64.StdEncoding.EncodedLen(len(message))
	case plain < len(message):
		length = proto.EscapedLen(message)
	}

	const end = `"}`
	length += len(head) + len(name) + len(end)
	dst = appendHeader(slices.Grow(dst, ws.MaxHeaderSize+length), ws.OpText, length)
	dst = append(append(dst, head...), name...)
	switch {
	case opaque:
		dst = base64.StdEncoding.AppendEncode(dst, message)
	case plain == len(message):
		dst = append(dst, message...)
	default:
		dst = proto.AppendEscaped(dst, message)
	}
	return append(dst, end...)
}

// appendTime appends 2006-01-02T15:04:05.000Z in half the time that
// at.AppendFormat takes.
func appendTime(dst []byte, at time.Time) []byte {
	at = at.UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), at.Nanosecond()/int(time.Millisecond), 3)
	return append(dst, 'Z')
}

// appendDigits appends the last digits of n.
func appendDigits(dst []byte, n, digits int) []byte {
	dst = append(dst, "0000"[:digits]...)
	for i := range digits {
		dst[len(dst)-1-i] += byte(uint(n) % 10)
		n /= 10
	}
	return dst
}
