//go:build unix

package main

import (
	"bytes"
	"strconv"

	"hubbub.example"
	"hubbub.example/internal/jsonl"
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
func renderer(out outFormat, framing hubbub.Framing, present *present) func(*hubbub.Batch) []byte {
	switch out {
	case outTagged:
		return taggedRenderer(separator(framing))
	case outJSON:
		return jsonRenderer(present)
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

func jsonRenderer(present *present) func(*hubbub.Batch) []byte {
	var buf []byte
	return func(b *hubbub.Batch) []byte {
		buf = buf[:0]
		present.begin()
		for e := range b.Events() {
			buf = present.append(buf, e)
		}
		return buf
	}
}

func eventLine(e hubbub.Event) jsonl.Event {
	return jsonl.Event{
		Type: e.Kind.String(), Time: e.Time, ID: e.Client, Name: e.Name, Addr: e.Addr,
		Protocol: e.Protocol, Data: e.Data, Code: e.Code.String(), Reason: e.Reason,
	}
}
