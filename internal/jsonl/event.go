// Package jsonl is the JSON lines between the hub and a program
// (docs/protocol.md): events out, commands in. It does no I/O.
//
//	AppendEvent      one thing that a client did, as a line
//	Decoder.Decode   a line, as what the program wants
//
// Both are jsontext's work, which is encoding/json/jsontext from Go 1.27 on.
package jsonl

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is one thing that a client did. What stands with other types is left
// out.
type Event struct {
	Type     string // "message", "join" or "leave"
	Time     time.Time
	ID       uint64
	Name     string // "" is left out
	Addr     string
	Protocol string // of a join
	Data     []byte // of a message
	Reason   string // of a leave
}

// nanoseconds is RFC 3339 with all nine digits, so that it sorts as text.
const nanoseconds = "2006-01-02T15:04:05.000000000Z"

// AppendEvent appends e and a newline. Nothing is allocated but for dst to
// grow, and for a message that lineEnds has to do with.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(append(dst, `{"type":"`...), e.Type...)
	dst = e.Time.UTC().AppendFormat(append(dst, `","time":"`...), nanoseconds)
	dst = strconv.AppendUint(append(dst, `","id":`...), e.ID, 10)
	if e.Name != "" {
		dst = appendString(append(dst, `,"name":`...), e.Name)
	}
	dst = appendString(append(dst, `,"addr":`...), e.Addr)
	switch e.Type {
	case "message":
		dst = appendMessage(dst, e.Data)
	case "join":
		dst = appendString(append(dst, `,"protocol":`...), e.Protocol)
	case "leave":
		dst = appendString(append(dst, `,"reason":`...), e.Reason)
	}
	return append(dst, "}\n"...)
}

// appendMessage appends a message as text if it is UTF-8, else in base64.
func appendMessage(dst, message []byte) []byte {
	if utf8.Valid(message) {
		return appendString(append(dst, `,"text":`...), message)
	}
	dst = append(dst, `,"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, message), '"')
}

// appendString appends a string, in which U+FFFD stands for what is not UTF-8.
func appendString[S string | []byte](dst []byte, s S) []byte {
	from := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s)
	for _, end := range lineEnds {
		if bytes.Contains(dst[from:], end.is) {
			dst = append(dst[:from], bytes.ReplaceAll(dst[from:], end.is, end.escape)...)
		}
	}
	return dst
}

// lineEnds are what JSON allows in a string, but Node's readline (the first
// two) or Python's splitlines takes for a line's end.
var lineEnds = []struct{ is, escape []byte }{
	{[]byte("\u2028"), []byte(`\u2028`)},
	{[]byte("\u2029"), []byte(`\u2029`)},
	{[]byte("\u0085"), []byte(`\u0085`)},
}
