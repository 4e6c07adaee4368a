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

// serverMessage is a message of hubbub.v1 from the server. Type tells which fields it has.
type serverMessage struct {
	Type string `json:"type"`

	// hello
	Epoch     string  `json:"epoch"`
	Missed    uint64  `json:"missed"`
	Unknown   bool    `json:"unknown"`
	Heartbeat float64 `json:"heartbeat"` // seconds
	Longest   int64   `json:"longest"`
	Ack       int64   `json:"ack"`

	// hello: the message before the first that comes; message: its own number;
	// skipped, passed: the last of them
	Seq uint64 `json:"seq"`

	// message
	Time   string  `json:"time"`
	Text   *string `json:"text"`
	Base64 *[]byte `json:"base64"`
	Name   string  `json:"name"`

	// hello: our own; message: its sender's, if that is a client
	ID *uint64 `json:"id"`

	N    int64  `json:"n"`    // ack
	Code string `json:"code"` // close: a proto.Reason
}

// messageTypes are the types that are not ignored.
var messageTypes = map[string]bool{
	proto.Hello: true, proto.Message: true, proto.Private: true, proto.Skipped: true, proto.Passed: true,
	proto.Ack: true, proto.Heartbeat: true, proto.Closing: true,
}

// parseMessage reads a message. One of an unknown type has Type "".
func parseMessage(p []byte) (serverMessage, error) {
	var s serverMessage
	err := json.Unmarshal(p, &s)
	odd := errors.As(err, new(*json.UnmarshalTypeError)) // the rest has been read all the same
	switch {
	case !bytes.HasPrefix(bytes.TrimSpace(p), []byte("{")), err != nil && (!odd || messageTypes[s.Type]):
		return serverMessage{}, breach("%s is not hubbub.v1", quote(p))
	case !messageTypes[s.Type]:
		return serverMessage{}, nil
	case s.Type == proto.Message && s.Seq == 0, (s.Type == proto.Message || s.Type == proto.Private) && s.Text == nil && s.Base64 == nil:
		return serverMessage{}, breach("a message without text or number")
	}
	return s, nil
}

// hello checks the server's first message.
func (s *serverMessage) hello() error {
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
func (s *serverMessage) data() []byte {
	if s.Text != nil {
		return []byte(*s.Text)
	}
	return *s.Base64
}

// heartbeat returns the longest silence of the server; 0 for no limit.
func (s *serverMessage) heartbeat() time.Duration {
	const longest = 24 * 60 * 60
	return time.Duration(min(s.Heartbeat, longest) * float64(time.Second))
}

// longest returns the length limit of a message, the server's or our own.
func (s *serverMessage) longest() int {
	if s.Longest == 0 {
		return maxMessage
	}
	return int(min(s.Longest, maxMessage))
}

const maxMessage = 1 << 28

// breach returns the error for a server that broke hubbub.v1.
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

// Messages of the client.
var (
	heartbeatJSON = []byte(`{"type":"heartbeat"}`)
	endJSON       = []byte(`{"type":"end"}`)
)

// appendMessage appends message number n to b.
func appendMessage(b *bytes.Buffer, n int64, data []byte) {
	fmt.Fprintf(b, `{"type":"message","n":%d,`, n)
	b.Write(append(proto.AppendData(b.AvailableBuffer(), data), '}'))
}

// own recognizes the client's own messages. A server that relays does not send them
// back to the client, but after a reconnect the client has another number.
type own struct {
	epoch string
	ids   map[uint64]bool // our numbers in it
}

// add adds our number from hello.
func (o *own) add(hello *serverMessage) {
	if o.epoch != hello.Epoch {
		*o = own{hello.Epoch, map[uint64]bool{}}
	}
	if hello.ID != nil {
		o.ids[*hello.ID] = true
	}
}

// sent reports whether m is our own.
func (o *own) sent(m *serverMessage) bool { return m.ID != nil && o.ids[*m.ID] }

// target returns the path to request. last counts only without a point to resume from.
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
