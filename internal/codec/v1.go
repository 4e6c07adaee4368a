// This file encodes what the hub sends in hubbub.v1, JSON in WebSocket text frames
// (docs/protocol.md): AppendHello, AppendNumbered, … append whole frames.
//
// AppendNumbered encodes every broadcast. It computes the length of the JSON first,
// because the length of the frame's header depends on it.

package codec

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"hubbub.example/internal/proto"
)

// Hello is the hub's first message to a client.
type Hello struct {
	Epoch     string `json:"epoch"`
	ID        uint64 `json:"id"`                // the client's number
	Seq       uint64 `json:"seq"`               // the last message before the first that comes
	Missed    uint64 `json:"missed,omitempty"`  // messages that are not kept any more
	Unknown   bool   `json:"unknown,omitempty"` // the resume point is unknown
	Heartbeat int    `json:"heartbeat"`         // in seconds
	Longest   int    `json:"longest"`           // message, in bytes
	Ack       uint64 `json:"ack"`               // the highest number that the hub has of the session; 0 for none
}

// AppendHello appends h.
func AppendHello(dst []byte, h Hello) []byte {
	p, _ := json.Marshal(struct { // numbers and letters
		Type string `json:"type"`
		Hello
	}{proto.Hello, h})
	return AppendText(dst, p)
}

// AppendSkipped appends the notice that count messages, the last of them
// seq, were skipped.
func AppendSkipped(dst []byte, count int64, seq uint64) []byte {
	return appendTextNumber(dst, fmt.Sprintf(`{"type":"skipped","count":%d,"seq":`, count), seq)
}

// AppendPassed appends the notice that the messages up to seq that were not sent are
// not for this client.
func AppendPassed(dst []byte, seq uint64) []byte {
	return appendTextNumber(dst, `{"type":"passed","seq":`, seq)
}

// AppendAck appends that the hub has the client's messages up to number n.
func AppendAck(dst []byte, n uint64) []byte { return appendTextNumber(dst, `{"type":"ack","n":`, n) }

// appendTextNumber appends an object that is head and n.
func appendTextNumber(dst []byte, head string, n uint64) []byte {
	var buffer [96]byte
	return AppendText(dst, append(strconv.AppendUint(append(buffer[:0], head...), n, 10), '}'))
}

// AppendClosing appends why the hub is about to close the connection: a code
// for programs, a reason for display.
func AppendClosing(dst []byte, code, reason string) []byte {
	var buffer [256]byte
	p := append(append(buffer[:0], `{"type":"close","code":"`...), code...)
	p = proto.AppendString(append(p, `","reason":`...), reason)
	return AppendText(dst, append(p, `}`...))
}

// AppendHeartbeat appends what shows that the connection lives.
func AppendHeartbeat(dst []byte) []byte { return AppendText(dst, []byte(`{"type":"heartbeat"}`)) }

// By is the client that sent a message. An id of 0 means no client.
type By struct {
	ID   uint64
	Name string
}

// AppendNumbered appends a broadcast message with its time and its sender.
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

// appendTextWith appends an object that begins with head, with message as text if it
// is UTF-8, else in base64.
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

// appendTime appends 2006-01-02T15:04:05.000Z. AppendFormat takes twice the time
// for this, but not for time.RFC3339.
func appendTime(dst []byte, at time.Time) []byte {
	dst = at.UTC().AppendFormat(dst, time.RFC3339)
	ms := at.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
}
