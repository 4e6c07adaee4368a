//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"hubbub.example"
)

// outFormat is what STDOUT says of what clients send.
type outFormat string

const (
	outPlain  outFormat = "plain"  // the message
	outTagged outFormat = "tagged" // ID<TAB>message
	outJSON   outFormat = "json"   // an object a line, also for joins and leaves
)

// renderer makes the function that turns a batch into what is written. What it
// returns is good until its next call and until the batch's Release.
func renderer(out outFormat, framing hubbub.Framing) func(*hubbub.Batch) []byte {
	switch out {
	case outTagged:
		return taggedRenderer(separator(framing))
	case outJSON:
		return jsonRenderer()
	}
	return (*hubbub.Batch).Plain
}

// separator is what stands after a message.
func separator(framing hubbub.Framing) string {
	switch framing {
	case hubbub.Lines:
		return "\n"
	case hubbub.NUL:
		return "\x00"
	}
	return ""
}

func taggedRenderer(separator string) func(*hubbub.Batch) []byte {
	var buf []byte
	return func(b *hubbub.Batch) []byte {
		buf = buf[:0]
		for e := range b.Events() {
			buf = appendTagged(buf, e.Client, e.Data, []byte(separator))
		}
		return buf
	}
}

// appendTagged appends a message. One that contains the separator, as a
// WebSocket's may, is several here: each says whose it is.
func appendTagged(buf []byte, id uint64, message, separator []byte) []byte {
	for more := true; more; {
		part := message
		if len(separator) > 0 {
			part, message, more = bytes.Cut(message, separator)
		} else {
			more = false
		}
		buf = strconv.AppendUint(buf, id, 10)
		buf = append(buf, '\t')
		buf = append(buf, part...)
		buf = append(buf, separator...)
	}
	return buf
}

// jsonEvent is one line of --out json.
type jsonEvent struct {
	Type   string  `json:"type"`
	Time   string  `json:"time"`
	ID     uint64  `json:"id"`
	Name   string  `json:"name,omitempty"`
	Addr   string  `json:"addr"`
	Proto  string  `json:"protocol,omitempty"` // a join's
	Text   *string `json:"text,omitempty"`     // a message's, also an empty one's
	Base64 []byte  `json:"base64,omitempty"`
	Reason string  `json:"reason,omitempty"`
}

// jsonTime is RFC 3339 with all nine digits, so that it sorts as text.
const jsonTime = "2006-01-02T15:04:05.000000000Z07:00"

func jsonRenderer() func(*hubbub.Batch) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	return func(b *hubbub.Batch) []byte {
		buf.Reset()
		for e := range b.Events() {
			if err := enc.Encode(eventJSON(e)); err != nil {
				panic("hubbub: " + err.Error())
			}
		}
		return buf.Bytes()
	}
}

func eventJSON(e hubbub.Event) *jsonEvent {
	j := &jsonEvent{
		Type: e.Kind.String(), Time: e.Time.UTC().Format(jsonTime),
		ID: e.Client, Name: e.Name, Addr: e.Addr, Reason: e.Reason,
	}
	if e.Kind == hubbub.Join {
		j.Proto = e.Protocol
	}
	switch {
	case e.Kind != hubbub.Message:
	case utf8.Valid(e.Data):
		text := string(e.Data)
		j.Text = &text
	default:
		j.Base64 = e.Data
	}
	return j
}
