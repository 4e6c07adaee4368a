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

	"hubbub.example/internal/framing"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

// hearsQuestion reads the request for hubbub.v1.
func (p *peer) hearsQuestion() {
	p.T.Helper()
	r, err := http.ReadRequest(p.R)
	if err != nil {
		p.T.Fatal(err)
	}
	if r.Method != http.MethodGet || r.Header.Get("Sec-WebSocket-Protocol") != proto.Subprotocol {
		p.T.Errorf("it asks %s, %v", r.Method, r.Header)
	}
}

// asked starts a client, and a server of its own that it has asked.
func asked(t *testing.T, o Options) (*server, *joined, *peer) {
	t.Helper()
	s := listen(t, "127.0.0.1:0")
	j := startV1(t, s, o)
	p := s.accept()
	p.hearsQuestion()
	return s, j, p
}

// A server that does not answer as HTTP does is spoken to raw, on another
// connection, and with nothing of those before: at once if it was silent, and
// else after it was asked again, since it may be a hubbub to which the question
// came late.
func TestServerThatSpeaksSomethingElseIsSpokenToRaw(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*peer)
		asked  int
		why    string
	}{
		"silent":           {func(p *peer) { p.HearsEnd() }, 1, "no answer in 300ms"},
		"talks":            {func(p *peer) { p.Says("a line\nand another\n") }, 2, "malformed"},
		"prompts":          {func(p *peer) { p.Says("login: ") }, 1, "no answer in 300ms"}, // this WebSocket waits for the line
		"echoes":           {func(p *peer) { p.Says("GET / HTTP/1.1\r\n") }, 2, "malformed"},
		"closes":           {func(p *peer) { _ = p.Close() }, 2, "the server closed the connection"},
		"resets":           {(*peer).Reset, 2, "reset by peer"},
		"ends its sending": {(*peer).Done, 2, "the server closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, "127.0.0.1:0")
			o := Options{AnswerIn: scene.LongEnough}
			if strings.HasPrefix(c.why, "no answer") {
				o.AnswerIn = 300 * time.Millisecond
			}
			j := startV1(t, s, o)
			for range c.asked {
				p := s.accept()
				p.hearsQuestion()
				c.answer(p)
			}
			p := s.accept()
			p.Says("raw\n")
			j.stdout.Until(t, "raw\n")
			j.says("from STDIN\n")
			p.Hears("from STDIN\n")
			j.stdout.Is(t, "raw\n")
			j.log.Until(t, s.Addr().String()+" does not speak hubbub.v1 (")
			if said := j.log.Text(); !strings.Contains(said, c.why) || !strings.Contains(said, "Use tcp://"+s.Addr().String()) {
				t.Errorf("the log says %s", said)
			}
			p.Reset() // and stays raw
			p = s.accept()
			p.Says("still raw\n")
			j.stdout.Until(t, "raw\nstill raw\n")
		})
	}
}

// A hubbub to which the question comes late has begun to speak raw, and takes
// it for a web page's. That is no reason to lose its receipts.
func TestHubbubThatIsAskedLateIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*peer){
		"with something to say":    func(p *peer) { p.Says("one\ntw"); _ = p.Close() },
		"with nothing to say":      func(p *peer) { _ = p.Close() },
		"which it does not expect": (*peer).Reset,
	} {
		for _, o := range []Options{{}, {Name: "ann"}} {
			t.Run(name+", "+o.Name, func(t *testing.T) {
				s, j, p := asked(t, o)
				answer(p)
				v := s.greets("")
				v.ask("name", o.Name)
				v.tells(message(1, "one"), message(2, "two"))
				j.says("from STDIN\n")
				v.told(`{"type":"message","n":1,"text":"from STDIN"}`)
				j.stdout.Is(t, "one\ntwo\n")
				if said := j.log.Text(); strings.Contains(said, "using raw") {
					t.Errorf("the log says %s", said)
				}
			})
		}
	}
}

// A page is no stream: what answers in HTTP is not spoken to raw, and none of
// it is printed. What would be right is said.
func TestHTTPServerThatIsNoHubbubIsNotSpokenToRaw(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 400, 404, 426, 502} {
		s, j, p := asked(t, Options{})
		p.Says(fmt.Sprintf("HTTP/1.1 %d Oh\r\nContent-Length: 5\r\n\r\n<!p>\n", status))
		j.failsWith(fmt.Sprintf("hubbub.v1 at %s: refused: %d; it speaks HTTP, but is no hubbub server; use tcp://%[1]s to connect raw", s.Addr(), status))
		j.stdout.Is(t, "")
		s.acceptsNoMore()
	}
}

// What hubbub itself answers is meant, and needs no advice.
func TestRefusalIsNoReasonToSpeakRaw(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 421, 429, 503} {
		s, j, p := asked(t, Options{})
		p.Says(fmt.Sprintf("HTTP/1.1 %d Oh\r\n\r\n", status))
		want := fmt.Sprintf("hubbub.v1 at %s: refused: %d", s.Addr(), status)
		if err := j.ends(); err == nil || err.Error() != want {
			t.Errorf("Run says %v, want %s", err, want)
		}
		s.acceptsNoMore()
	}
}

// Nobody who must speak hubbub.v1 is spoken to raw.
func TestNoRawWhereHubbubV1IsAskedFor(t *testing.T) {
	t.Parallel()
	last := 1
	for name, o := range map[string]Options{
		"ws://":   {Dialer: Dialer{Address: Address{Scheme: "ws"}}},
		"--since": {Since: proto.Point{Epoch: "e1", Seq: 1}},
		"--last":  {Last: &last},
		"--name":  {Name: "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			j := startV1(t, s, o)
			for range 2 {
				p := s.accept()
				p.hearsQuestion()
				p.Says("raw\n")
				_ = p.Close()
			}
			j.failsWith("hubbub.v1 at " + s.Addr().String())
			s.acceptsNoMore()
		})
	}
}

func TestNobodyIsAskedWhoSpeaksRaw(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"tcp://":      {Dialer: Dialer{Address: Address{Scheme: "tcp"}}},
		"--frame raw": {Frame: framing.Raw},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			j := startV1(t, s, o)
			p := s.accept()
			j.says("raw\n")
			p.Hears("raw\n")
		})
	}
}

// A server that spoke hubbub.v1 is a hubbub, whatever else it says while it is
// being restarted; what it refuses is said, once.
func TestHubbubStaysOneAcrossBreaks(t *testing.T) {
	t.Parallel()
	s, j, p := meetV1(t, Options{}, "")
	p.tells(message(1, "one"))
	j.stdout.Until(t, "one\n")
	p.goodbye(1001, "")
	for _, answer := range []string{"raw\n", "HTTP/1.1 503 Oh\r\n\r\n", "HTTP/1.1 503 Oh\r\n\r\n", "HTTP/1.1 404 Oh\r\n\r\n", ""} {
		q := s.accept()
		q.hearsQuestion()
		q.Says(answer)
		_ = q.Close()
	}
	p = s.greets(`"seq":1`)
	p.tells(message(2, "two"))
	j.stdout.Until(t, "one\ntwo\n")
	if n := strings.Count(j.log.Text(), "level=WARN msg=\"hubbub.v1 at "+s.Addr().String()+": refused: 503"); n != 1 {
		t.Errorf("the refusal is said %d times", n)
	}
}

// A server that takes one client has taken it for the question.
func TestServerThatIsGoneAfterTheQuestion(t *testing.T) {
	t.Parallel()
	s, j, p := asked(t, Options{})
	_ = s.Close()
	_ = p.Close()
	j.failsWith("may take one client only; use tcp://" + s.Addr().String() + " to skip detection")
}

// Whoever is told to stop does not wait for an answer.
func TestStopWhileAsking(t *testing.T) {
	t.Parallel()
	s, j, p := asked(t, Options{AnswerIn: scene.LongEnough, Dialer: Dialer{ConnectTimeout: scene.LongEnough}})
	j.stop()
	j.failsWith("stopped before " + s.Addr().String() + " answered")
	if _, err := p.R.ReadByte(); err != io.EOF {
		t.Errorf("the connection ends with %v", err)
	}
}

func TestWhatMayBeRaw(t *testing.T) {
	t.Parallel()
	a := Address{Host: "host", Port: 1}
	for _, c := range []struct {
		name string
		err  error
		raw  bool
	}{
		{"not connected", errors.New("refused"), false},
		{"bytes", &notV1{a, bufio.ErrBufferFull}, true},
		{"not found", &notV1{a, statusError(404)}, false},
		{"no status", &notV1{a, statusError(0)}, false},
		{"full", &notV1{a, statusError(503)}, false},
		{"no hello", &notV1{a, &helloError{io.EOF}}, false},
	} {
		if got := speaksRaw(c.err); got != c.raw {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
