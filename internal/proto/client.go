package proto

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads what a client sends in hubbub.v1: one JSON object a message.

// FromClient is a message of a client.
type FromClient struct {
	Type string // Message, Heartbeat or End; "" is another, to be ignored
	N    uint64 // Message: its number in the session; 0 is none
	Data []byte // Message: what it says; valid until the next Decode, and while p is
}

// greatestNumber is the last up to which a JavaScript client can count.
const greatestNumber = 1 << 53

// keptSize is how much memory a Decoder keeps between messages.
const keptSize = 64 << 10

// Decoder reads the messages of clients. The zero value is ready; one
// goroutine at a time uses it.
type Decoder struct {
	json  jsontext.Decoder
	input bytes.Buffer
	data  []byte
}

// Decode reads a whole message. Of a field that stands twice the last counts;
// what is not UTF-8, and half a surrogate pair, becomes U+FFFD. How long p may
// be is the caller's to bound, by JSONLimit; Decode holds no more than p again.
func (d *Decoder) Decode(p []byte) (FromClient, *Breach) {
	if d.data = d.data[:0]; cap(d.data) > keptSize {
		d.data = nil
	}
	f, err := d.fields(p)
	if err != nil {
		return FromClient{}, Breachf(CloseProtocolError, "not a JSON object")
	}
	switch kind, _ := d.text(f.kind); string(kind) {
	case Heartbeat: // a constant: string(kind) would allocate
		return FromClient{Type: Heartbeat}, nil
	case End:
		return FromClient{Type: End}, nil
	case Message:
	default:
		return FromClient{}, nil
	}
	m := FromClient{Type: Message}
	if f.n != nil {
		if m.N, err = strconv.ParseUint(string(f.n), 10, 64); err != nil || m.N == 0 || m.N > greatestNumber {
			return FromClient{}, Breachf(CloseProtocolError, "n is not a number from 1 to 2^53")
		}
	}
	if (f.text == nil) == (f.base64 == nil) {
		return FromClient{}, Breachf(CloseProtocolError, "message without text and base64, or with both")
	}
	var ok bool
	if m.Data, ok = d.text(f.text); f.base64 != nil {
		m.Data, ok = d.bytes(f.base64)
	}
	if !ok {
		return FromClient{}, Breachf(CloseProtocolError, "message that is no string, or no base64")
	}
	return m, nil
}

// fields are the values that are asked for; nil is none.
type fields struct{ kind, n, text, base64 jsontext.Value }

// fields reads an object, and nothing after it.
func (d *Decoder) fields(p []byte) (f fields, err error) {
	d.input = *bytes.NewBuffer(p)
	d.json.Reset(&d.input, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if start, err := d.json.ReadToken(); err != nil || start.Kind() != jsontext.KindBeginObject {
		return f, errors.New("no object")
	}
	for d.json.PeekKind() != jsontext.KindEndObject {
		name, err := d.json.ReadToken()
		if err != nil {
			return f, err
		}
		var into *jsontext.Value
		switch name.String() {
		case "type":
			into = &f.kind
		case "n":
			into = &f.n
		case "text":
			into = &f.text
		case "base64":
			into = &f.base64
		}
		value, err := d.json.ReadValue()
		if err != nil {
			return f, err
		}
		if end := d.json.InputOffset(); into != nil {
			*into = p[end-int64(len(value)) : end] // value is good until the next read only
		}
	}
	_, _ = d.json.ReadToken() // the end of the object
	if _, err := d.json.ReadToken(); err != io.EOF {
		return f, errors.New("more than an object")
	}
	return f, nil
}

// text returns a string, if value is one. It lies in value where that has no escape.
func (d *Decoder) text(value jsontext.Value) (text []byte, ok bool) {
	if value.Kind() != jsontext.KindString {
		return nil, false
	}
	if bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) {
		return value[1 : len(value)-1], true
	}
	from := len(d.data)
	d.data, _ = jsontext.AppendUnquote(d.data, value) // an error is U+FFFD
	return d.data[from:], true
}

// bytes returns a string in base64 (RFC 4648, section 4), if value is one.
func (d *Decoder) bytes(value jsontext.Value) (data []byte, ok bool) {
	text, ok := d.text(value)
	if !ok || bytes.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, false
	}
	from := len(d.data)
	var err error
	d.data, err = base64.StdEncoding.Strict().AppendDecode(d.data, text)
	return d.data[from:], err == nil
}

// JSONLimit returns how long JSON may be that holds a message of longest bytes, each
// of which may be escaped, and rest other bytes.
func JSONLimit(longest, rest int) int { return len(`\u0000`)*longest + rest }
