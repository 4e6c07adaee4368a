// Package jsonl encodes and decodes the JSON lines between the hub and a program
// (docs/protocol.md): events out, instructions in. It does no I/O.
//
//	AppendEvent      encodes an event of a client
//	Decoder.Decode   decodes an instruction of the program
//
// Both use jsontext, which is encoding/json/jsontext from Go 1.27 on.
package jsonl

import (
	"strconv"
	"time"

	"hubbub.example/internal/proto"
)

// Event is a message, join or leave of a client. Fields of other types are left
// out.
type Event struct {
	Type     string // "message", "join" or "leave"
	Time     time.Time
	ID       uint64
	Name     string // "" is left out
	Addr     string
	Protocol string // of a join
	Data     []byte // of a message
	Code     string // of a leave: why, for programs
	Reason   string // the same, for display
}

// nanoseconds is RFC 3339 with all nine digits, so that it sorts as text.
const nanoseconds = "2006-01-02T15:04:05.000000000Z"

// AppendEvent appends e and a newline. It allocates only to grow dst.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = append(append(dst, `{"type":"`...), e.Type...)
	dst = e.Time.UTC().AppendFormat(append(dst, `","time":"`...), nanoseconds)
	dst = strconv.AppendUint(append(dst, `","id":`...), e.ID, 10)
	if e.Name != "" {
		dst = proto.AppendString(append(dst, `,"name":`...), e.Name)
	}
	dst = proto.AppendString(append(dst, `,"addr":`...), e.Addr)
	switch e.Type {
	case "message":
		dst = proto.AppendData(append(dst, ','), e.Data)
	case "join":
		dst = proto.AppendString(append(dst, `,"protocol":`...), e.Protocol)
	case "leave":
		dst = proto.AppendString(append(dst, `,"code":`...), e.Code)
		dst = proto.AppendString(append(dst, `,"reason":`...), e.Reason)
	}
	return append(dst, "}\n"...)
}
