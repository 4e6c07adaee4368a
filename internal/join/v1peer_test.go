package join

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

// This file is what tests need to speak hubbub.v1: socket is the client's end
// of a WebSocket, v1peer the server's of one connection, which says what the
// test says.

// socket is a WebSocket of the plainest kind: it answers no pings.
type socket struct {
	net.Conn
	r  *bufio.Reader
	mu sync.Mutex
}

func openSocket(conn net.Conn, host, target, protocol string) (WebSocket, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	status := 0
	d := ws.Dialer{Host: host, Protocols: []string{protocol}, OnStatusError: func(code int, _ []byte, _ io.Reader) { status = code }}
	r, hs, err := d.Upgrade(conn, u)
	switch {
	case status != 0:
		return nil, statusError(status)
	case err != nil:
		return nil, err
	case hs.Protocol != protocol:
		return nil, fmt.Errorf("not %s", protocol)
	}
	if r == nil {
		r = bufio.NewReader(conn)
	}
	return &socket{Conn: conn, r: r}, nil
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("refused: %d", int(s)) }
func (s statusError) Status() int   { return int(s) }

func (s *socket) Receive() ([]byte, error) {
	f, err := readFrame(s.r)
	if err == nil && f.Header.OpCode == ws.OpClose {
		code, reason := ws.ParseCloseFrameData(f.Payload)
		return nil, &proto.Closed{Code: proto.CloseCode(code), Reason: reason}
	}
	return f.Payload, err
}

func (s *socket) Send(message []byte, _ bool) error {
	return s.write(ws.NewTextFrame(message))
}

func (s *socket) Close(code proto.CloseCode, reason string) error {
	return s.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
}

func (s *socket) write(f ws.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := ws.CompileFrame(ws.MaskFrame(f))
	if err == nil {
		_, err = s.Write(p)
	}
	return err
}

func (s *socket) Limit(int64) {}

// startV1 is start with a client that speaks hubbub.v1 or, if o does not say
// so, finds out.
func startV1(t *testing.T, s *server, o Options) *joined {
	t.Helper()
	o.WebSocket = openSocket
	return start(t, s, o)
}

// meetV1 starts a client, and a server of its own that has greeted it.
func meetV1(t *testing.T, o Options, hello string) (*server, *joined, *v1peer) {
	t.Helper()
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, o)
	p := s.greets(hello)
	return s, j, p
}

// v1peer is the server's end of a connection on which hubbub.v1 is spoken.
type v1peer struct {
	*peer
	asked url.Values
	host  string
}

// upgrades accepts a client and opens hubbub.v1 with it.
func (s *server) upgrades() *v1peer {
	s.t.Helper()
	p := &v1peer{peer: s.accept()}
	u := ws.Upgrader{
		Protocol: func(p []byte) bool { return string(p) == proto.Subprotocol },
		OnHost:   func(host []byte) error { p.host = string(host); return nil },
		OnRequest: func(uri []byte) error {
			at, err := url.ParseRequestURI(string(uri))
			if err == nil {
				p.asked = at.Query()
			}
			return err
		},
	}
	hs, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{p.R, p.Conn})
	if err != nil || hs.Protocol != proto.Subprotocol {
		s.t.Fatalf("no upgrade to hubbub.v1: %+v, %v", hs, err)
	}
	return p
}

// greets opens hubbub.v1 and says hello with these fields.
func (s *server) greets(fields string) *v1peer {
	s.t.Helper()
	p := s.upgrades()
	p.hello(fields)
	return p
}

// hello has what a test leaves open; the last of two fields counts.
func (p *v1peer) hello(fields string) {
	p.T.Helper()
	if fields != "" {
		fields = "," + fields
	}
	p.tells(`{"type":"hello","epoch":"e1","id":1,"seq":0,"heartbeat":25,"longest":1048576,"ack":0` + fields + `}`)
}

func (p *v1peer) tells(messages ...string) {
	p.T.Helper()
	for _, m := range messages {
		p.Says(frameOf(m))
	}
}

// message returns one of the server's, as JSON.
func message(seq int, text string) string {
	p, _ := json.Marshal(map[string]any{"type": "message", "seq": seq, "time": "2026-11-24T12:00:00.123Z", "text": text})
	return string(p)
}

// from returns a message that a client said.
func from(id int, message string) string {
	return fmt.Sprintf(`{"id":%d,%s`, id, strings.TrimPrefix(message, "{"))
}

// sent returns a message of the client's, as JSON; ack is what the server says to
// all up to it.
func sent(n int, text string) string {
	return fmt.Sprintf(`{"type":"message","n":%d,"text":%q}`, n, text)
}

func ack(n int) string { return fmt.Sprintf(`{"type":"ack","n":%d}`, n) }

// next returns the next that the client says.
func (p *v1peer) next() ws.Frame {
	p.T.Helper()
	f, err := readFrame(p.R)
	if err != nil {
		p.T.Fatalf("the server waits in vain for the client: %v", err)
	}
	if !f.Header.Masked {
		p.T.Fatal("the client does not mask")
	}
	return ws.UnmaskFrame(f)
}

// told waits for exactly these, as texts.
func (p *v1peer) told(want ...string) {
	p.T.Helper()
	for _, w := range want {
		if f := p.next(); f.Header.OpCode != ws.OpText || string(f.Payload) != w {
			p.T.Fatalf("the server got %s (op %d), want %s", scene.Brief(string(f.Payload)), f.Header.OpCode, scene.Brief(w))
		}
	}
}

// toldGoodbye waits for the client's close frame.
func (p *v1peer) toldGoodbye(want int) {
	p.T.Helper()
	f := p.next()
	if code, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || int(code) != want {
		p.T.Fatalf("the server got %q (op %d), want a close frame, %d", f.Payload, f.Header.OpCode, want)
	}
}

func (p *v1peer) goodbye(code int, reason string) {
	p.T.Helper()
	p.Says(string(ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))))
}

// ask checks a parameter of the address.
func (p *v1peer) ask(name, want string) {
	p.T.Helper()
	if got := p.asked[name]; strings.Join(got, ",") != want {
		p.T.Errorf("it asks for %s=%q, want %q", name, got, want)
	}
}

func frameOf(message string) string {
	return string(ws.MustCompileFrame(ws.NewTextFrame([]byte(message))))
}

// readFrame returns one frame, as it comes.
func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
