//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"hubbub.example"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/jsonl"
)

// This file turns what clients send into what the sink writes.

// outFormat is the format of what clients send.
type outFormat string

const (
	outPlain  outFormat = "plain"  // the message
	outTagged outFormat = "tagged" // ID<TAB>message
	outJSON   outFormat = "json"   // one object per line, including joins and leaves
)

// renderer makes the function that renders a batch. Its result is valid until
// its next call and until the batch's Release. With --relay and --chat it also
// sends the messages to the other clients, before they are written.
func (s *server) renderer() func(*hubbub.Batch) []byte {
	render, ctx := (*hubbub.Batch).Plain, context.Background()
	switch s.out {
	case outTagged:
		separator := framing.Framing(s.options.Framing).Separator()
		render = eachEvent(func(lines []byte, e hubbub.Event) []byte { return appendTagged(lines, e.Client, e.Data, separator) })
	case outJSON:
		lines := eachEvent(s.roster.append)
		render = func(b *hubbub.Batch) []byte { s.roster.begin(); return lines(b) }
	}
	switch {
	case s.chat:
		s.room = newChat(s)
		return func(b *hubbub.Batch) []byte {
			lines, err := s.room.take(ctx, b)
			s.logRelay(err)
			return lines
		}
	case s.relay:
		return func(b *hubbub.Batch) []byte {
			s.logRelay(s.hub.Relay(ctx, b))
			return render(b)
		}
	}
	return render
}

// logRelay logs why messages did not go to the other clients. A hub that drains
// broadcasts nothing more.
func (s *server) logRelay(err error) {
	if err != nil && !errors.Is(err, hubbub.ErrClosed) {
		s.log.Warn(err.Error())
	}
}

// eachEvent renders a batch event by event.
func eachEvent(add func(lines []byte, e hubbub.Event) []byte) func(*hubbub.Batch) []byte {
	var lines []byte
	return func(b *hubbub.Batch) []byte {
		lines = lines[:0]
		for e := range b.Events() {
			lines = add(lines, e)
		}
		return lines
	}
}

// appendTagged appends a message. A message that contains the separator, as a
// WebSocket's may, becomes several, each with its tag.
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

func eventLine(e hubbub.Event) jsonl.Event {
	return jsonl.Event{
		Type: e.Kind.String(), Time: e.Time, ID: e.Client, Name: e.Name, Addr: e.Addr,
		Protocol: e.Protocol, Data: e.Data, Code: e.Code.String(), Reason: e.Reason,
	}
}
