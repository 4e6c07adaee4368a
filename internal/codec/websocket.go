// This file decodes and encodes WebSocket frames (RFC 6455), the server's side:
//
//	Frames    decodes what one client sends, in pieces of any size
//	Append…   encode whole frames, unmasked
//
// In Frames, begin reads and checks the header of a frame, and dataPart or controlPart
// returns its payload; short is the fast path for a short message. Payload is unmasked
// in place and never kept, except for a control frame that comes in pieces.

package codec

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"hubbub.example/internal/proto"
)

const longestControl = ws.MaxControlFramePayloadSize

// PartKind is what a Part is.
type PartKind uint8

// The kinds of parts.
const (
	Nothing PartKind = iota // the bytes are used up
	Data                    // of a message
	Ping
	Pong
	Close
)

// Part is one step through what a client sends.
type Part struct {
	Kind  PartKind
	Data  []byte          // unmasked: part of the bytes given, or the reason of a Close
	First bool            // Data: begins a message
	Last  bool            // Data: ends a message
	Text  bool            // Data: the message is text
	Code  proto.CloseCode // Close: the client's code, CloseNoStatus if it gave none
}

// Frames decodes what one WebSocket client sends (RFC 6455, section 5). It is the
// state between two reads; the zero value is the beginning of a connection. Only
// the client's loop uses it.
type Frames struct {
	frame   frame
	message message

	held   uint8 // bytes in header
	header [ws.MaxHeaderSize]byte
}

// frame is the frame whose payload is being read; zero between two.
type frame struct {
	Open bool // its header has been read
	Fin  bool
	Op   ws.OpCode
	Mask [4]byte
	At   uint8 // the index in Mask for the next byte
	Left int64 // payload still to come

	Kept    *[longestControl]byte // the payload of a control frame that comes in pieces
	KeptLen uint8
}

// message is the message that is being read; zero between two.
type message struct {
	Open  bool // its first header has been read
	Begun bool // a part of it has been given out
	Text  bool
	Size  int64 // of all its frames so far
	Tail  tail
}

// Between reports whether f is between two messages, like a new one.
func (f *Frames) Between() bool { return *f == Frames{} }

// Next returns the next part of p, which it unmasks in place, and the rest of p.
// Nothing means that p is used up. A message longer than longest is a breach. After a
// breach or a Close there is nothing more to read.
func (f *Frames) Next(p []byte, longest int) (part Part, rest []byte, err *proto.Breach) {
	if part, rest, err = f.short(p, longest); part.Kind != Nothing || err != nil {
		return part, rest, err
	}
	for {
		if !f.frame.Open {
			p, err = f.begin(p, longest)
			if err != nil || !f.frame.Open {
				return Part{}, nil, err
			}
		}
		if f.frame.Op.IsControl() {
			return f.controlPart(p)
		}
		part, p, err = f.dataPart(p)
		// A fragment without bytes is no step.
		if part.Kind != Nothing || err != nil || f.frame.Open {
			return part, p, err
		}
	}
}

// short decodes a short message that is one complete frame, as most are, in half the
// time. It leaves everything else to begin.
func (f *Frames) short(p []byte, longest int) (part Part, rest []byte, err *proto.Breach) {
	const (
		text   = 0x80 | byte(ws.OpText)
		opaque = 0x80 | byte(ws.OpBinary)
		header = ws.MinHeaderSize + 4
	)
	if f.frame.Open || f.message.Open || f.held > 0 || len(p) < header || p[0] != text && p[0] != opaque {
		return Part{}, nil, nil
	}
	n := int(p[1]) - 0x80
	if n < 0 || n > 125 || n > longest || n > len(p)-header {
		return Part{}, nil, nil
	}
	data, rest := p[header:header+n:header+n], p[header+n:]
	ws.Cipher(data, [4]byte(p[2:]), 0)
	if p[0] == text && !utf8.Valid(data) {
		return Part{}, nil, notUTF8()
	}
	return Part{Kind: Data, Data: data, First: true, Last: true, Text: p[0] == text}, rest, nil
}

func notUTF8() *proto.Breach { return proto.Breachf(proto.CloseInvalidPayload, "text is not UTF-8") }

// begin reads a frame's header from p, or keeps an incomplete one.
func (f *Frames) begin(p []byte, longest int) (rest []byte, err *proto.Breach) {
	var h ws.Header
	var n int
	if f.held == 0 {
		h, n, err = decodeHeader(p)
		if n == 0 {
			f.held = uint8(copy(f.header[:], p))
			return nil, err
		}
		p = p[n:]
	} else {
		more := copy(f.header[f.held:], p)
		h, n, err = decodeHeader(f.header[:int(f.held)+more])
		if n == 0 {
			f.held += uint8(more)
			return nil, err
		}
		p = p[n-int(f.held):]
		f.held, f.header = 0, [ws.MaxHeaderSize]byte{}
	}
	if err == nil {
		err = f.judge(h, longest)
	}
	if err != nil {
		return nil, err
	}
	f.frame = frame{Open: true, Fin: h.Fin, Op: h.OpCode, Mask: h.Mask, Left: h.Length}
	return p, nil
}

// judge returns what is wrong with a header, and adds the frame's size to its message.
func (f *Frames) judge(h ws.Header, longest int) *proto.Breach {
	state := ws.StateServerSide
	if f.message.Open {
		state |= ws.StateFragmented
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return proto.Breachf(proto.CloseProtocolError, "%v", err)
	}
	if h.OpCode.IsControl() {
		return nil
	}
	if h.Length > int64(longest)-f.message.Size {
		return proto.Breachf(proto.CloseTooBig, "message longer than %d bytes", longest)
	}
	if h.OpCode != ws.OpContinuation {
		f.message.Open, f.message.Text = true, h.OpCode == ws.OpText
	}
	f.message.Size += h.Length
	return nil
}

// decodeHeader reads the header that p begins with (RFC 6455, section 5.2);
// n is its length, 0 while it is not whole.
func decodeHeader(p []byte) (h ws.Header, n int, err *proto.Breach) {
	if len(p) < ws.MinHeaderSize {
		return h, 0, nil
	}
	h.Fin, h.Rsv, h.OpCode = p[0]&0x80 != 0, p[0]>>4&7, ws.OpCode(p[0]&0xf)
	h.Masked = p[1]&0x80 != 0
	length, least := uint64(p[1]&0x7f), uint64(0)
	n = 2
	switch {
	case length == 126 && len(p) >= 4:
		length, least = uint64(binary.BigEndian.Uint16(p[2:])), 126
		n = 4
	case length == 127 && len(p) >= 10:
		length, least = binary.BigEndian.Uint64(p[2:]), 1<<16
		n = 10
	case length >= 126:
		return h, 0, nil
	}
	if h.Masked {
		if len(p) < n+4 {
			return h, 0, nil
		}
		copy(h.Mask[:], p[n:])
		n += 4
	}
	switch {
	case length < least:
		return h, n, proto.Breachf(proto.CloseProtocolError, "length in more bytes than it needs")
	case length>>63 != 0:
		return h, n, proto.Breachf(proto.CloseProtocolError, "length of more than 63 bits")
	}
	h.Length = int64(length)
	return h, n, nil
}

// take unmasks what p has of the frame's payload.
func (f *frame) take(p []byte) (payload, rest []byte) {
	n := int(min(int64(len(p)), f.Left))
	ws.Cipher(p[:n], f.Mask, int(f.At))
	f.At = (f.At + uint8(n&3)) & 3
	f.Left -= int64(n)
	return p[:n:n], p[n:]
}

// dataPart returns what p has of a data frame (RFC 6455, section 5.6).
func (f *Frames) dataPart(p []byte) (part Part, rest []byte, err *proto.Breach) {
	data, rest := f.frame.take(p)
	ended := f.frame.Left == 0
	last := ended && f.frame.Fin
	if f.message.Text && !f.message.Tail.valid(data, last) {
		return Part{}, nil, notUTF8()
	}
	if ended {
		f.frame = frame{}
	}
	if len(data) == 0 && !last {
		return Part{}, rest, nil
	}
	part = Part{Kind: Data, Data: data, First: !f.message.Begun, Last: last, Text: f.message.Text}
	f.message.Begun = true
	if last {
		f.message = message{}
	}
	return part, rest, nil
}

// controlPart returns a control frame as soon as it is complete (RFC 6455, section 5.5).
func (f *Frames) controlPart(p []byte) (part Part, rest []byte, err *proto.Breach) {
	payload, rest := f.frame.take(p)
	if f.frame.Kept != nil || f.frame.Left > 0 {
		payload = f.frame.keep(payload)
	}
	if f.frame.Left > 0 {
		return Part{}, rest, nil
	}
	op := f.frame.Op
	f.frame = frame{}
	switch op {
	case ws.OpPing:
		return Part{Kind: Ping, Data: payload}, rest, nil
	case ws.OpPong:
		return Part{Kind: Pong, Data: payload}, rest, nil
	}
	part, err = closePart(payload)
	return part, rest, err
}

// keep appends payload to what is kept, and returns all of it.
func (f *frame) keep(payload []byte) []byte {
	if f.Kept == nil {
		f.Kept = new([longestControl]byte)
	}
	f.KeptLen += uint8(copy(f.Kept[f.KeptLen:], payload))
	return f.Kept[:f.KeptLen]
}

// closePart reads a close frame's payload (RFC 6455, section 5.5.1).
func closePart(payload []byte) (Part, *proto.Breach) {
	switch len(payload) {
	case 0:
		return Part{Kind: Close, Code: proto.CloseNoStatus}, nil
	case 1:
		return Part{}, proto.Breachf(proto.CloseProtocolError, "close frame with half a code")
	}
	code, reason := proto.CloseCode(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !code.Sendable():
		return Part{}, proto.Breachf(proto.CloseProtocolError, "close code %d", uint16(code))
	case !utf8.Valid(reason):
		return Part{}, proto.Breachf(proto.CloseInvalidPayload, "close reason is not UTF-8")
	}
	return Part{Kind: Close, Code: code, Data: reason}, nil
}

// tail is the incomplete rune at the end of the bytes so far; zero for none. With it
// text is checked as it comes, and a breach is found at the first wrong byte.
type tail struct {
	N     uint8
	Bytes [utf8.UTFMax]byte
}

// valid reports whether p, after all before it, is UTF-8 (RFC 6455, section 8.1). It
// may end within a rune unless it is the last.
func (t *tail) valid(p []byte, last bool) bool {
	for t.N > 0 && len(p) > 0 {
		t.Bytes[t.N], p = p[0], p[1:]
		t.N++
		if utf8.FullRune(t.Bytes[:t.N]) {
			if !utf8.Valid(t.Bytes[:t.N]) {
				return false
			}
			*t = tail{}
		}
	}
	if t.N > 0 {
		return !last
	}
	cut := len(p)
	if !last {
		cut = beforeTail(p)
		t.N = uint8(copy(t.Bytes[:], p[cut:]))
	}
	return utf8.Valid(p[:cut])
}

// beforeTail returns where the incomplete rune at the end of p begins; len(p) for none.
func beforeTail(p []byte) int {
	for i := len(p) - 1; i >= 0 && i > len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break
			}
			return i
		}
	}
	return len(p)
}

// AppendMessage appends a message as one frame: text if it is UTF-8, else
// binary.
func AppendMessage(dst, message []byte) []byte {
	op := ws.OpBinary
	if utf8.Valid(message) {
		op = ws.OpText
	}
	return append(appendHeader(dst, op, len(message)), message...)
}

// AppendText appends a text frame; text is UTF-8.
func AppendText(dst, text []byte) []byte {
	return append(appendHeader(dst, ws.OpText, len(text)), text...)
}

// AppendPong appends a pong (RFC 6455, section 5.5.3); payload has at most
// 125 bytes.
func AppendPong(dst, payload []byte) []byte { return appendControl(dst, ws.OpPong, payload) }

// AppendClose appends a close frame (RFC 6455, section 5.5.1), with the reason cut to
// 123 bytes. With proto.CloseNoStatus or 0 it has neither code nor reason.
func AppendClose(dst []byte, code proto.CloseCode, reason string) []byte {
	if code == proto.CloseNoStatus || code == 0 {
		return appendControl(dst, ws.OpClose, nil)
	}
	var payload [longestControl]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	n := 2 + copy(payload[2:], strings.ToValidUTF8(reason, "\uFFFD"))
	n = 2 + beforeTail(payload[2:n])
	return appendControl(dst, ws.OpClose, payload[:n])
}

func appendControl(dst []byte, op ws.OpCode, payload []byte) []byte {
	if len(payload) > longestControl {
		panic("codec: a control frame of more than 125 bytes")
	}
	return append(appendHeader(dst, op, len(payload)), payload...)
}

// appendHeader appends the header of an unmasked frame that is a whole
// message (RFC 6455, section 5.2). ws.WriteHeader would want an io.Writer.
func appendHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}
