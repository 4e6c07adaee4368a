// This file is hubbub.v1, JSON in WebSocket text frames (docs/protocol.md):
//
//	AppendHello, AppendNumbered, …   what the hub says: whole frames
//	ParseSaid                        what a client says
//
// AppendNumbered is on every message's way to the clients. It finds out how
// long the JSON will be before it writes any: a frame's header stands in
// front and is as long as that needs.

package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
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
	p = appendEscaped(p, []byte(h.Epoch))
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

// AppendAck appends that the hub has the client's messages up to number n.
func AppendAck(dst []byte, n uint64) []byte {
	var buffer [64]byte
	p := strconv.AppendUint(append(buffer[:0], `{"type":"ack","n":`...), n, 10)
	return AppendText(dst, append(p, '}'))
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
		head = append(appendEscaped(append(head, `"name":"`...), []byte(by.Name)), `",`...)
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
	plain := plainLen(message)
	opaque := plain < len(message) && !utf8.Valid(message[plain:])
	switch {
	case opaque:
		name, length = `"base64":"`, base64.StdEncoding.EncodedLen(len(message))
	case plain < len(message):
		length = escapedLen(message)
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
		dst = appendEscaped(dst, message)
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

// plainLen is how long the beginning of p is, to a word of 8 bytes, that is
// the same in a JSON string: ASCII, and neither a control character, nor a
// quote, nor a backslash.
func plainLen(p []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	at := 0
	for ; len(p)-at >= 8; at += 8 {
		x := binary.LittleEndian.Uint64(p[at:])
		// (w - n×ones) &^ w has a high bit set just if a byte of w is less
		// than n. Less than 1 are the bytes of quote that were one in x.
		quote, backslash := x^'"'*ones, x^'\\'*ones
		odd := x | (x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash
		if odd&highs != 0 {
			return at
		}
	}
	for at < len(p) && p[at] < utf8.RuneSelf && escapes[p[at]] == 0 {
		at++
	}
	return at
}

// escapes is by how much a byte grows in a JSON string (RFC 8259, section 7).
var escapes = func() (by [256]uint8) {
	for b := range ' ' {
		by[b] = uint8(len(`\u0000`) - 1)
	}
	for _, b := range "\b\t\n\f\r\"\\" {
		by[b] = 1
	}
	return by
}()

func escapedLen(p []byte) int {
	n := len(p)
	for _, b := range p {
		n += int(escapes[b])
	}
	return n
}

// appendEscaped appends UTF-8 as it stands in a JSON string.
func appendEscaped(dst, p []byte) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i, b := range p {
		if escapes[b] == 0 {
			continue
		}
		dst = append(dst, p[from:i]...)
		from = i + 1
		switch b {
		case '\b':
			dst = append(dst, `\b`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '"', '\\':
			dst = append(dst, '\\', b)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xf])
		}
	}
	return append(dst, p[from:]...)
}

// SaidKind is what a client says.
type SaidKind uint8

// What a client may say.
const (
	SaysNothing SaidKind = iota // what this hub does not know, and ignores
	SaysMessage
	SaysHeartbeat
	SaysEnd
)

// Said is one thing that a client of hubbub.v1 says.
type Said struct {
	Kind SaidKind
	N    uint64 // SaysMessage: its number in the session; 0 for none
	Data []byte // SaysMessage: the message; it may lie in the bytes parsed
}

// greatestNumber is the last up to which a JavaScript client can count.
const greatestNumber = 1 << 53

// ParseSaid reads one text message of a client. That its text frames are UTF-8
// Frames has checked; what is not, here, becomes U+FFFD.
func ParseSaid(p []byte) (Said, *Breach) {
	p = bytes.TrimLeft(p, " \t\r\n")
	if len(p) == 0 || p[0] != '{' || !json.Valid(p) {
		return Said{}, &Breach{CloseBreach, "not a JSON object"}
	}
	var kind, n, text, b64 []byte
	for name, value, rest := nextField(p[1:]); name != nil; name, value, rest = nextField(rest) {
		switch s, _ := unquote(name); string(s) {
		case "type":
			kind = value
		case "n":
			n = value
		case "text":
			text = value
		case "base64":
			b64 = value
		}
	}
	switch s, _ := unquote(kind); string(s) {
	case "message":
		return parseMessage(n, text, b64)
	case "heartbeat":
		return Said{Kind: SaysHeartbeat}, nil
	case "end":
		return Said{Kind: SaysEnd}, nil
	}
	return Said{}, nil
}

// parseMessage reads the fields of a message; those that are missing are nil.
func parseMessage(n, text, b64 []byte) (Said, *Breach) {
	said := Said{Kind: SaysMessage}
	if n != nil {
		var err error
		said.N, err = strconv.ParseUint(string(n), 10, 64)
		if err != nil || said.N == 0 || said.N > greatestNumber {
			return Said{}, &Breach{CloseBreach, "n is not a number from 1 to 2^53"}
		}
	}
	if (text == nil) == (b64 == nil) {
		return Said{}, &Breach{CloseBreach, "message without text and base64, or with both"}
	}
	data, ok := unquote(text)
	if b64 != nil {
		data, ok = unbase64(b64)
	}
	if !ok {
		return Said{}, &Breach{CloseBreach, "message that is no string, or no base64"}
	}
	said.Data = data
	return said, nil
}

// nextField takes the next field off p, the inside of a valid JSON object;
// name is nil at its end. The names are exact, and nothing is kept of fields
// that nobody asks for; encoding/json offers the one or the other.
func nextField(p []byte) (name, value, rest []byte) {
	p = bytes.TrimLeft(p, ", \t\r\n")
	if p[0] == '}' {
		return nil, nil, nil
	}
	n := stringLen(p)
	name, p = p[:n], bytes.TrimLeft(p[n:], ": \t\r\n")
	n = valueLen(p)
	return name, bytes.TrimRight(p[:n], " \t\r\n"), p[n:]
}

// stringLen is the length of the JSON string that p begins with.
func stringLen(p []byte) int {
	for i := 1; ; i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// valueLen is the length of the JSON value that p begins with, and of the
// space behind it.
func valueLen(p []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch p[i] {
		case '"':
			i += stringLen(p[i:]) - 1
		case '{', '[':
			depth++
		case ',', '}', ']':
			if depth == 0 {
				return i
			}
			if p[i] != ',' {
				depth--
			}
		}
	}
}

// unquote reads a JSON string; ok is false for other values.
func unquote(p []byte) (s []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		return nil, false
	}
	if inside := p[1 : len(p)-1]; bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return inside, true
	}
	var decoded string
	if json.Unmarshal(p, &decoded) != nil {
		return nil, false
	}
	return []byte(decoded), true
}

// unbase64 reads a JSON string of base64 (RFC 4648, section 4).
func unbase64(p []byte) (data []byte, ok bool) {
	s, ok := unquote(p)
	if !ok || bytes.ContainsAny(s, "\r\n") { // which the decoder would skip
		return nil, false
	}
	data, err := base64.StdEncoding.Strict().AppendDecode(nil, s)
	return data, err == nil
}
