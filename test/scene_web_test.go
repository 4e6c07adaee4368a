//go:build unix

package hubbub_test

// This file is what scenes with HTTP and WebSockets are made of:
//
//	asks       a request, by hand, and the head of its answer
//	socket     a WebSocket client that says each frame as the scene wants it
//	v1         the same with hubbub.v1's objects
//	eventOf    one server-sent event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// openAny opens a hub on a free port whose first bytes tell what it is. They
// may take their time.
func openAny(t *testing.T, o hubbub.Options) *stage {
	t.Helper()
	return openAt(t, "127.0.0.1:0", unhurried(o))
}

// unhurried is o with time for everybody to say what he speaks: raw clients
// that say nothing come to an address of their own.
func unhurried(o hubbub.Options) hubbub.Options {
	if o.Sniff == 0 {
		o.Sniff = time.Minute
	}
	return o
}

// raw connects a raw client, to an address that is for those.
func (s *stage) raw() *peer {
	s.t.Helper()
	if s.rawAt == "" {
		at, err := s.Listen("tcp://127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.rawAt = at[0].String()
	}
	var p *peer
	s.join(1, func() { p = dial(s.t, s.rawAt) })
	return p
}

// everyAny is everyNetwork, with ports whose first bytes tell what they are.
func everyAny(t *testing.T, play func(t *testing.T, address string)) {
	t.Helper()
	atBoth(t, "127.0.0.1:0", play)
}

// request returns the head of one, with these headers.
func request(method, target string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	return b.String() + "\r\n"
}

// asks sends a request and reads the head of the answer.
func (p *peer) asks(method, target string, headers ...string) *http.Response {
	p.T.Helper()
	p.Says(request(method, target, headers...))
	return p.answered(method)
}

// answered reads the head of an answer.
func (p *peer) answered(method string) *http.Response {
	p.T.Helper()
	answer, err := http.ReadResponse(p.R, &http.Request{Method: method})
	if err != nil {
		p.T.Fatalf("no answer: %v", err)
	}
	return answer
}

// get asks for something short, and gives its code and its body.
func (s *stage) get(target string, headers ...string) (int, string) {
	s.t.Helper()
	p := dial(s.t, s.at)
	defer p.Close()
	answer := p.asks(http.MethodGet, target, headers...)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// stream connects a client to a stream and waits until the hub has it.
func (s *stage) stream(target string, headers ...string) *peer {
	s.t.Helper()
	var p *peer
	s.join(1, func() { p = s.streamLater(dial(s.t, s.at), target, headers...) })
	return p
}

// streamLater is stream that does not wait, over p.
func (s *stage) streamLater(p *peer, target string, headers ...string) *peer {
	s.t.Helper()
	if answer := p.asks(http.MethodGet, target, headers...); answer.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s is answered with %d", target, answer.StatusCode)
	}
	return p
}

const acceptEvents = "Accept: text/event-stream"

// sse connects a client to the stream of events.
func (s *stage) sse(target string, headers ...string) *peer {
	s.t.Helper()
	return s.stream(target, append(headers, acceptEvents)...)
}

// occurrence is one server-sent event.
type occurrence struct{ id, kind, data string }

// event reads the next one; comments are passed over.
func (p *peer) event() occurrence {
	p.T.Helper()
	e, err := p.nextEvent()
	if err != nil {
		p.T.Fatalf("no event: %v", err)
	}
	return e
}

func (p *peer) nextEvent() (e occurrence, err error) {
	var data []string
	for {
		line, err := p.R.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && (line != "" || data != nil) {
				err = fmt.Errorf("torn after %q: %w", line, io.ErrUnexpectedEOF)
			}
			return e, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			if data != nil {
				e.data = strings.Join(data, "\n")
				return e, nil
			}
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			data = append(data, value)
		}
	}
}

// socket is a WebSocket client that does as it is told.
type socket struct {
	*peer
	s *stage
}

var handshake = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
}

const speaksV1 = "Sec-WebSocket-Protocol: hubbub.v1"

// socket connects a WebSocket and waits until the hub has it.
func (s *stage) socket(target string, headers ...string) *socket {
	s.t.Helper()
	var c *socket
	s.join(1, func() { c = s.socketLater(dial(s.t, s.at), target, headers...) })
	return c
}

// narrowSocket is socket for a client that takes little before it reads.
func (s *stage) narrowSocket(target string, headers ...string) *socket {
	s.t.Helper()
	var c *socket
	s.join(1, func() { c = s.socketLater(dialNarrow(s.t, s.at), target, headers...) })
	return c
}

// socketLater is socket that does not wait, over p.
func (s *stage) socketLater(p *peer, target string, headers ...string) *socket {
	s.t.Helper()
	answer := p.asks(http.MethodGet, target, append(headers, handshake...)...)
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != "ICX+Yqv66kxgM0FcWaLWlFLwTAI=" {
		s.t.Fatalf("the handshake is answered with %s", answer.Status)
	}
	return &socket{p, s}
}

// frame returns one as a client sends it.
func frame(op ws.OpCode, fin bool, payload []byte) []byte {
	f := ws.NewFrame(op, fin, bytes.Clone(payload))
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrameInPlaceWith(f, [4]byte{1, 2, 3, 4})); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// text returns a message in one text frame.
func text(message string) string { return string(frame(ws.OpText, true, []byte(message))) }

// closing returns a close frame.
func closing(code int, reason string) string {
	return string(frame(ws.OpClose, true, ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
}

// next reads one frame.
func (c *socket) next() (op ws.OpCode, payload []byte) {
	c.T.Helper()
	op, payload, err := c.nextFrame()
	if err != nil {
		c.T.Fatalf("no frame: %v", err)
	}
	return op, payload
}

func (c *socket) nextFrame() (ws.OpCode, []byte, error) {
	f, err := readFrame(c.R)
	if err != nil {
		return 0, nil, err
	}
	if f.Header.Masked || !f.Header.Fin || f.Header.Rsv != 0 {
		return 0, nil, fmt.Errorf("a server's frame must not look so: %+v", f.Header)
	}
	return f.Header.OpCode, f.Payload, nil
}

// hearsText waits for these messages, each in a text frame.
func (c *socket) hearsText(want ...string) {
	c.T.Helper()
	for _, want := range want {
		if op, got := c.next(); op != ws.OpText || string(got) != want {
			c.T.Fatalf("a WebSocket got %d %s, want text %s", op, scene.Brief(string(got)), scene.Brief(want))
		}
	}
}

// hearsClose waits for a close frame with this code, then for the end of file.
// In hubbub.v1 a notice of the same comes first.
func (c *socket) hearsClose(code int) (reason string) {
	c.T.Helper()
	op, p := c.next()
	if bytes.HasPrefix(p, []byte(`{"type":"close",`)) {
		op, p = c.next()
	}
	if op != ws.OpClose {
		c.T.Fatalf("a WebSocket got %d %s, want to be closed with %d", op, scene.Brief(string(p)), code)
	}
	got := 1005
	if len(p) >= 2 {
		got, reason = int(binary.BigEndian.Uint16(p)), string(p[2:])
	}
	if got != code {
		c.T.Fatalf("a WebSocket is closed with %d %q, want %d", got, reason, code)
	}
	if rest, err := io.ReadAll(c.R); err != nil || len(rest) > 0 {
		c.T.Fatalf("behind its close frame a WebSocket got %s (%v)", scene.Brief(string(rest)), err)
	}
	return reason
}

// v1 is what the hub says in hubbub.v1.
type v1 struct {
	Type, Epoch, Time, Name, Text, Base64 string
	ID, Seq, Missed, Ack, N               uint64
	Unknown                               bool
	Heartbeat, Longest, Count             int
}

// v1 connects a client of hubbub.v1.
func (s *stage) v1(target string) (*socket, v1) {
	s.t.Helper()
	c := s.socket(target, speaksV1)
	hello := c.object("hello")
	return c, hello
}

// object reads the next thing the hub says, which must be of this type.
func (c *socket) object(kind string) v1 {
	c.T.Helper()
	o, err := c.nextObject()
	if err != nil || o.Type != kind {
		c.T.Fatalf("a client of hubbub.v1 got %+v (%v), want %s", o, err, kind)
	}
	return o
}

func (c *socket) nextObject() (o v1, err error) {
	op, p, err := c.nextFrame()
	if err != nil {
		return o, err
	}
	if op != ws.OpText {
		return o, fmt.Errorf("frame %d %s", op, scene.Brief(string(p)))
	}
	if err = json.Unmarshal(p, &o); err == nil && o.Type == "close" {
		err = fmt.Errorf("the hub closes: %s", p)
	}
	return o, err
}

// saysV1 says these messages, numbered from first; 0 is without numbers.
func (c *socket) saysV1(first uint64, messages ...string) {
	c.T.Helper()
	var all strings.Builder
	for i, m := range messages {
		n := uint64(0)
		if first > 0 {
			n = first + uint64(i)
		}
		all.WriteString(text(said(n, m)))
	}
	c.Says(all.String())
}

// said returns a message as a client of hubbub.v1 says it.
func said(n uint64, message string) string {
	o := map[string]any{"type": "message", "text": message}
	if n > 0 {
		o["n"] = n
	}
	p, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(p)
}

// point returns a resume point.
func point(epoch string, seq uint64) string { return epoch + "-" + strconv.FormatUint(seq, 10) }

// listed is what GET /clients tells.
type listed struct {
	Clients []struct {
		ID                          uint64
		Protocol, Addr, Name, Since string
		Lag                         int64
		Muted                       bool
		In, Out                     struct{ Bytes, Messages int64 }
	}
}

func (s *stage) listed() (all listed) {
	s.t.Helper()
	code, body := s.get("/clients")
	if err := json.Unmarshal([]byte(body), &all); err != nil || code != http.StatusOK {
		s.t.Fatalf("/clients is %d %s", code, body)
	}
	return all
}

// readFrame reads a frame, if it is not too long.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil || f.Header.Length > 1<<24 {
		return f, fmt.Errorf("a frame of %d bytes: %w", f.Header.Length, err)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
