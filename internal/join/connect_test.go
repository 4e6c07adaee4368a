package join

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hearsQuestion reads the request for hubbub.v1.
func (p *peer) hearsQuestion() {
	p.t.Helper()
	r, err := http.ReadRequest(p.r)
	if err != nil {
		p.t.Fatal(err)
	}
	if r.Method != http.MethodGet || r.Header.Get("Sec-WebSocket-Protocol") != subprotocol {
		p.t.Errorf("it asks %s, %v", r.Method, r.Header)
	}
}

// A server that does not answer as hubbub.v1 does is spoken to raw, on another
// connection, and with nothing of the first.
func TestServerThatSpeaksSomethingElseIsSpokenToRaw(t *testing.T) {
	for name, answer := range map[string]func(*peer){
		"silent":           func(p *peer) { p.hearsEnd() },
		"talks":            func(p *peer) { p.says("a line\nand another\n") },
		"prompts":          func(p *peer) { p.says("login: ") },
		"echoes":           func(p *peer) { p.says("GET / HTTP/1.1\r\n") },
		"closes":           func(p *peer) { _ = p.Close() },
		"resets":           (*peer).resets,
		"ends its sending": (*peer).endsSending,
		"HTTP/1.0":         func(p *peer) { p.says("HTTP/1.0 200 OK\r\n\r\nhello") },
		"another status":   func(p *peer) { p.says("HTTP/1.1 404 Not Found\r\n\r\n") },
		"no WebSocket":     func(p *peer) { p.says("HTTP/1.1 426 Upgrade Required\r\n\r\n") },
		"a page":           func(p *peer) { p.says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx") },
		"half an answer":   func(p *peer) { p.says("HTTP/1.1 10"); _ = p.Close() },
		"a bad WebSocket":  func(p *peer) { p.says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, "127.0.0.1:0")
			j := startV1(t, s, Options{AnswerIn: 300 * time.Millisecond})
			p := s.accept()
			p.hearsQuestion()
			answer(p)
			p = s.accept()
			p.says("raw\n")
			j.stdout.await(t, "raw\n")
			j.says("from STDIN\n")
			p.hears("from STDIN\n")
			if got := j.stdout.text(); got != "raw\n" {
				t.Errorf("STDOUT got %q", got)
			}
			p.resets() // and stays raw
			p = s.accept()
			p.says("still raw\n")
			j.stdout.await(t, "raw\nstill raw\n")
		})
	}
}

// What hubbub itself answers is meant.
func TestRefusalIsNoReasonToSpeakRaw(t *testing.T) {
	for _, status := range []int{400, 403, 421, 429, 503} {
		s := listen(t, "127.0.0.1:0")
		j := startV1(t, s, Options{})
		p := s.accept()
		p.hearsQuestion()
		p.says(fmt.Sprintf("HTTP/1.1 %d Oh\r\n\r\n", status))
		j.failsWith(fmt.Sprintf("hubbub.v1 at %s: refused: %d", s.Addr(), status))
		s.acceptsNoMore()
	}
}

// Nobody who must speak hubbub.v1 is spoken to raw.
func TestNoRawWhereHubbubV1IsAskedFor(t *testing.T) {
	last := 1
	for name, o := range map[string]Options{
		"ws://":   {Address: Address{Protocol: HubbubV1}},
		"--since": {Since: Point{"e1", 1}},
		"--last":  {Last: &last},
		"--name":  {Name: "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			o.WebSocket = openSocket
			protocol := o.Address.Protocol
			o.Address = addressOf(s)
			o.Address.Protocol = protocol
			j := startAt(t, o)
			p := s.accept()
			p.hearsQuestion()
			p.says("raw\n")
			_ = p.Close()
			j.failsWith("hubbub.v1 at " + s.Addr().String())
			s.acceptsNoMore()
		})
	}
}

func addressOf(s *server) Address {
	a, err := ParseAddress(s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func TestNobodyIsAskedWhoSpeaksRaw(t *testing.T) {
	for name, o := range map[string]Options{
		"tcp://":      {Address: Address{Protocol: RawOnly}},
		"--frame raw": {Frame: Raw},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			o.WebSocket = openSocket
			protocol := o.Address.Protocol
			o.Address = addressOf(s)
			o.Address.Protocol = protocol
			j := startAt(t, o)
			p := s.accept()
			j.says("raw\n")
			p.hears("raw\n")
		})
	}
}

// A server that spoke hubbub.v1 is a hubbub, whatever else it says while it is
// being restarted; what it refuses is said, once.
func TestHubbubStaysOneAcrossBreaks(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, Options{})
	p := s.greets("")
	p.tells(message(1, "one"))
	j.stdout.await(t, "one\n")
	p.goodbye(1001, "")
	for _, answer := range []string{"raw\n", "HTTP/1.1 503 Oh\r\n\r\n", "HTTP/1.1 503 Oh\r\n\r\n", "HTTP/1.1 404 Oh\r\n\r\n", ""} {
		q := s.accept()
		q.hearsQuestion()
		q.says(answer)
		_ = q.Close()
	}
	p = s.greets(`"seq":1`)
	p.tells(message(2, "two"))
	j.stdout.await(t, "one\ntwo\n")
	if n := strings.Count(j.log.text(), "level=WARN msg=\"hubbub.v1 at "+s.Addr().String()+": refused: 503"); n != 1 {
		t.Errorf("the refusal is said %d times", n)
	}
}

// A server that takes one client has taken it for the question.
func TestServerThatIsGoneAfterTheQuestion(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, Options{})
	p := s.accept()
	p.hearsQuestion()
	_ = s.Close()
	_ = p.Close()
	j.failsWith("may take one client only: with tcp://")
}

// Whoever is told to stop does not wait for an answer.
func TestStopWhileAsking(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, Options{AnswerIn: longEnough, ConnectTimeout: longEnough})
	p := s.accept()
	p.hearsQuestion()
	j.stop()
	j.failsWith("left before " + s.Addr().String() + " answered")
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
}

func TestWhatMayBeRaw(t *testing.T) {
	a := Address{Network: "tcp", Host: "host", Port: "1"}
	for _, c := range []struct {
		name string
		err  error
		raw  bool
	}{
		{"not connected", errors.New("refused"), false},
		{"bytes", &notV1{a, bufio.ErrBufferFull}, true},
		{"not found", &notV1{a, statusError(404)}, true},
		{"full", &notV1{a, statusError(503)}, false},
		{"no hello", &notV1{a, &helloError{io.EOF}}, false},
	} {
		if got := speaksRaw(c.err); got != c.raw {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
