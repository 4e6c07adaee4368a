package join

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"hubbub.example/internal/proto"
)

// This file is hubbub.v1 (docs/protocol.md) without the connection: JSON
// objects to values and back, and the address with its parameters.

// said is what a server says. What it means is in Type, and which fields
// stand with that.
type said struct {
	Type string `json:"type"`

	// hello
	Epoch     string  `json:"epoch"`
	Missed    uint64  `json:"missed"`
	Unknown   bool    `json:"unknown"`
	Heartbeat float64 `json:"heartbeat"` // seconds
	Longest   int64   `json:"longest"`
	Ack       int64   `json:"ack"`

	// hello: the message before the first to come; message: its own; skipped,
	// passed: the last of them
	Seq uint64 `json:"seq"`

	// message
	Time   string  `json:"time"`
	Text   *string `json:"text"`
	Base64 *[]byte `json:"base64"`
	Name   string  `json:"name"`

	// hello: ours; message: of the client that said it, if one did
	ID *uint64 `json:"id"`

	N    int64  `json:"n"`    // ack
	Code string `json:"code"` // close: a proto.Reason
}

// saidTypes are those that are not ignored.
var saidTypes = map[string]bool{
	proto.Hello: true, proto.Message: true, proto.Private: true, proto.Skipped: true, proto.Passed: true,
	proto.Ack: true, proto.Heartbeat: true, proto.Closing: true,
}

// parseSaid reads one message. What is not known yet has no Type.
func parseSaid(p []byte) (said, error) {
	var s said
	err := json.Unmarshal(p, &s)
	odd := errors.As(err, new(*json.UnmarshalTypeError)) // the rest has been read all the same
	switch {
	case !bytes.HasPrefix(bytes.TrimSpace(p), []byte("{")), err != nil && (!odd || saidTypes[s.Type]):
		return said{}, breach("%s is not hubbub.v1", quote(p))
	case !saidTypes[s.Type]:
		return said{}, nil
	case s.Type == proto.Message && s.Seq == 0, (s.Type == proto.Message || s.Type == proto.Private) && s.Text == nil && s.Base64 == nil:
		return said{}, breach("a message without text or number")
	}
	return s, nil
}

// hello checks the first that a server says.
func (s *said) hello() error {
	switch {
	case s.Type != proto.Hello:
		return breach("it begins with %q instead of hello", s.Type)
	case !proto.ValidEpoch(s.Epoch):
		return breach("the epoch %s", quote([]byte(s.Epoch)))
	case s.Ack < 0 || s.Longest < 0 || s.Heartbeat < 0:
		return breach("a number below 0 in hello")
	}
	return nil
}

// data returns a message's bytes.
func (s *said) data() []byte {
	if s.Text != nil {
		return []byte(*s.Text)
	}
	return *s.Base64
}

// heartbeat returns how long the server is silent at most; 0 for as long as it
// likes.
func (s *said) heartbeat() time.Duration {
	const longest = 24 * 60 * 60
	return time.Duration(min(s.Heartbeat, longest) * float64(time.Second))
}

// longest returns how many bytes a message may have, as far as we go along.
func (s *said) longest() int {
	if s.Longest == 0 {
		return maxMessage
	}
	return int(min(s.Longest, maxMessage))
}

const maxMessage = 1 << 28

// breach returns how a server broke hubbub.v1.
func breach(format string, args ...any) error {
	return proto.Breachf(proto.CloseProtocolError, format, args...)
}

// quote returns the beginning of p, for an error.
func quote(p []byte) string {
	const most = 60
	if len(p) > most {
		return strconv.Quote(string(p[:most])) + "..."
	}
	return strconv.Quote(string(p))
}

// What we say.
var (
	heartbeatJSON = []byte(`{"type":"heartbeat"}`)
	endJSON       = []byte(`{"type":"end"}`)
)

// appendMessage appends message number n to b.
func appendMessage(b *bytes.Buffer, n int64, data []byte) {
	fmt.Fprintf(b, `{"type":"message","n":%d,`, n)
	b.Write(append(proto.AppendData(b.AvailableBuffer(), data), '}'))
}

// own is how a client knows what it said itself. A server that relays tells all
// others; but behind a break the client has another number, and is one of them.
type own struct {
	epoch string
	ids   map[uint64]bool // that we had in it
}

// add takes our number from hello.
func (o *own) add(hello *said) {
	if o.epoch != hello.Epoch {
		*o = own{hello.Epoch, map[uint64]bool{}}
	}
	if hello.ID != nil {
		o.ids[*hello.ID] = true
	}
}

// said reports whether m is our own.
func (o *own) said(m *said) bool { return m.ID != nil && o.ids[*m.ID] }

// target returns what is asked for: who we are, and where to go on. Last counts
// only as long as there is no point to go on from.
func target(session string, from proto.Point, last *int, name string) string {
	q := url.Values{"session": {session}}
	switch {
	case from != proto.Point{}:
		q.Set("since", from.String())
	case last != nil:
		q.Set("last", strconv.Itoa(*last))
	}
	if name != "" {
		q.Set("name", name)
	}
	return "/?" + q.Encode()
}
