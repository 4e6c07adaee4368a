//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"hubbub.example/internal/scene"
)

// v1Server speaks hubbub.v1 as the test says, by another implementation of
// WebSockets than join's.
type v1Server struct {
	t        *testing.T
	visitors chan *v1Visitor
	address  string
}

type v1Visitor struct {
	t     *testing.T
	c     *websocket.Conn
	asked url.Values
	host  string
	done  chan struct{}
}

func serveV1(t *testing.T, network, address string) *v1Server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &v1Server{t: t, visitors: make(chan *v1Visitor), address: l.Addr().String()}
	closing := make(chan struct{})
	h := &http.Server{ReadHeaderTimeout: scene.LongEnough, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"hubbub.v1"}})
		if err != nil {
			return
		}
		v := &v1Visitor{t, c, r.URL.Query(), r.Host, make(chan struct{})}
		select {
		case s.visitors <- v:
		case <-closing:
			return
		}
		select {
		case <-v.done:
		case <-closing:
		}
	})}
	go h.Serve(l)
	t.Cleanup(func() { close(closing); _ = h.Close() })
	return s
}

// visited waits for a client and says hello.
func (s *v1Server) visited(hello string) *v1Visitor {
	s.t.Helper()
	v := scene.Next(s.t, s.visitors, "a client")
	v.says(hello)
	return v
}

const helloV1 = `{"type":"hello","epoch":"e1","id":17,"seq":4,"heartbeat":25,"longest":1000,"ack":0}`

func (v *v1Visitor) says(all ...string) {
	v.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), scene.LongEnough)
	defer stop()
	for _, s := range all {
		if err := v.c.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *v1Visitor) hears(all ...string) {
	v.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), scene.LongEnough)
	defer stop()
	for _, want := range all {
		if _, got, err := v.c.Read(ctx); err != nil || string(got) != want {
			v.t.Fatalf("the server got %s, %v, want %s", got, err, want)
		}
	}
}

// leaves breaks the connection.
func (v *v1Visitor) leaves() {
	_ = v.c.CloseNow()
	close(v.done)
}

// With an address of any form join uses hubbub.v1 if the server does.
func TestJoinSpeaksHubbubV1(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"ADDRESS", "ws://ADDRESS", "http://ADDRESS/", "unix:PATH"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			network, address, host := "tcp", "127.0.0.1:0", ""
			if form == "unix:PATH" {
				network, address, host = "unix", filepath.Join(t.TempDir(), "s"), "localhost"
			}
			s := serveV1(t, network, address)
			if host == "" {
				host = s.address
			}
			c := start(t, "join", strings.NewReplacer("ADDRESS", s.address, "PATH", s.address).Replace(form), "--name", "ann", "-v")
			v := s.visited(helloV1)
			if v.host != host || v.asked.Get("name") != "ann" {
				t.Errorf("it asks %s for %v", v.host, v.asked)
			}
			c.says("one\ntwo\n")
			v.hears(`{"type":"message","n":1,"text":"one"}`, `{"type":"message","n":2,"text":"two"}`)
			v.says(`{"type":"message","seq":5,"time":"T","text":"five"}`, `{"type":"ack","n":1}`)
			c.stdout.Is(t, "five\n")
			v.leaves()
			v = s.visited(`{"type":"hello","epoch":"e1","id":18,"seq":9,"missed":4,"heartbeat":25,"longest":1000,"ack":1}`)
			if since := v.asked.Get("since"); since != "e1-5" {
				t.Errorf("it goes on from %s", since)
			}
			v.hears(`{"type":"message","n":2,"text":"two"}`)
			v.says(`{"type":"message","seq":10,"time":"T","text":"ten"}`, `{"type":"ack","n":2}`)
			c.stdout.Is(t, "five\nten\n")
			_ = c.stdin.Close()
			v.hears(`{"type":"end"}`)
			_ = v.c.Close(websocket.StatusNormalClosure, "")
			c.exits(exitDone)
			said := c.stderr.Ends(t)
			for _, want := range []string{"missed 4 messages, which the server no longer keeps\n", "at e1-10\n"} {
				if !strings.Contains(said, want) {
					t.Errorf("STDERR says %q, want %q", said, want)
				}
			}
		})
	}
}

func TestJoinPrintsTaggedAndJSON(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		"tagged": "-\tfrom STDIN\n3\tfrom a client\nann\ttwo\nann\tlines\n",
		"json": `{"type":"message","seq":5,"time":"2026-11-24T12:00:00.123Z","text":"from STDIN"}
{"type":"message","seq":6,"time":"2026-11-24T12:00:00.123Z","id":3,"text":"from a client"}
{"type":"message","seq":7,"time":"2026-11-24T12:00:00.123Z","id":4,"name":"ann","text":"two\nlines"}
{"type":"skipped","count":2,"epoch":"e1","seq":9}
`,
	} {
		t.Run(out, func(t *testing.T) {
			s := serveV1(t, "tcp", "127.0.0.1:0")
			c := start(t, "join", s.address, "--out", out, "--last", "5")
			v := s.visited(helloV1)
			if last := v.asked.Get("last"); last != "5" {
				t.Errorf("it begins %q back", last)
			}
			v.says(`{"type":"message","seq":5,"time":"2026-11-24T12:00:00.123Z","text":"from STDIN"}`,
				`{"type":"message","seq":6,"time":"2026-11-24T12:00:00.123Z","id":3,"text":"from a client"}`,
				`{"type":"message","seq":7,"time":"2026-11-24T12:00:00.123Z","id":4,"name":"ann","text":"two\nlines"}`,
				`{"type":"skipped","count":2,"seq":9}`)
			c.stdout.Is(t, want)
			c.stderr.Until(t, "the server skipped 2 messages")
		})
	}
}

// A raw server does not answer the handshake. Join prints what it sends on another
// connection, in the format of --out.
func TestJoinFallsBackToRaw(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{"plain": "hello\n", "tagged": "-\thello\n"} {
		t.Run(out, func(t *testing.T) {
			t.Parallel()
			s := listenFor(t)
			c := start(t, "join", s.Addr().String(), "--out", out)
			p := s.visited()
			p.hearsQuestion()
			p.hearsEnd()
			p = s.visited()
			p.Says("hello\n")
			c.stdout.Is(t, want)
			c.says("from STDIN\n")
			p.Hears("from STDIN\n")
		})
	}
	s := listenFor(t)
	c := start(t, "join", s.address(), "--out", "json")
	s.visited().Says("hello\n")
	var said struct {
		Type, Text string
		Time       time.Time
		Seq        *int
	}
	line := c.stdout.Until(t, "\n")
	if err := json.Unmarshal([]byte(line), &said); err != nil || said.Type != "message" || said.Text != "hello" || said.Time.IsZero() || said.Seq != nil {
		t.Errorf("STDOUT says %s (%v)", line, err)
	}
}

// For another HTTP server join exits with an error that says so, and prints
// nothing of the answer on STDOUT.
func TestJoinPrintsNoPageOfAnHTTPServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ answer, says string }{
		"HTTP/1.0": {"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>\n", "the server did not open a WebSocket: 200 OK"},
		"page":     {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p>\n", "the server did not open a WebSocket: 200 OK"},
		"400":      {"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request", "the server refused: 400 400 Bad Request"},
		"404":      {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server refused: 404 Not Found"},
		"426":      {"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", "the server refused: 426 Upgrade Required"},
		"half":     {"HTTP/1.1 10", "malformed HTTP response: unexpected EOF"},
		"odd":      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "malformed HTTP response: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listenFor(t)
			address := s.Addr().String()
			j := start(t, "join", address)
			p := s.visited()
			p.hearsQuestion()
			p.Says(c.answer)
			_ = p.Close()
			saysHowToJoin(t, j, address, c.says)
		})
	}
	t.Run("WebSocket without hubbub.v1", func(t *testing.T) {
		t.Parallel()
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := websocket.Accept(w, r, nil); err == nil {
				_ = c.CloseNow()
			}
		}))
		defer h.Close()
		address := h.Listener.Addr().String()
		saysHowToJoin(t, start(t, "join", address), address, "malformed HTTP response: the server speaks WebSocket, but not hubbub.v1")
	})
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		h := httptest.NewServer(http.NotFoundHandler())
		defer h.Close()
		address := h.Listener.Addr().String()
		saysHowToJoin(t, start(t, "join", address), address, "the server refused: 404 404 page not found")
	})
	t.Run("python3 -m http.server", func(t *testing.T) {
		t.Parallel()
		needs(t, "python3")
		address := "127.0.0.1:" + freePort(t)
		_, port, _ := net.SplitHostPort(address)
		p := launch{shell: `exec "$@"`, args: strings.Fields("python3 -u -m http.server --bind 127.0.0.1 " + port)}.start(t)
		p.stdout.Until(t, "Serving HTTP")
		saysHowToJoin(t, start(t, "join", address), address, "the server did not open a WebSocket: 200 OK")
	})
}

// saysHowToJoin waits for j to say what answered, and what would be right.
func saysHowToJoin(t *testing.T, j *program, address, answered string) {
	t.Helper()
	j.exits(exitFailed)
	said := j.stderr.Ends(t)
	if !strings.HasPrefix(said, "hubbub: hubbub.v1 at "+address+": "+answered) ||
		!strings.HasSuffix(said, "; it speaks HTTP, but is no hubbub server; use tcp://"+address+" to connect raw\n") {
		t.Errorf("STDERR says %q", said)
	}
	if got := j.stdout.Ends(t); got != "" {
		t.Errorf("STDOUT says %q", got)
	}
}

// hearsQuestion reads a request's head.
func (c *peer) hearsQuestion() {
	c.T.Helper()
	if _, err := http.ReadRequest(c.R); err != nil {
		c.T.Fatal(err)
	}
}

// A server that accepts a single client has spent it on the detection. Join says
// how to skip detection, and that works.
func TestJoinSaysHowToTalkWithServersThatTakeOneClient(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"nc -v -l 127.0.0.1 PORT", "ncat -v -l 127.0.0.1 PORT"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			_, address := otherServer(t, `exec "$@"`, command)
			// It may still be there for a moment, and take another.
			start(t, "join", address).stderr.Until(t, "se tcp://"+address+" to skip detection")
		})
	}
}

// If the handshake reaches a hubbub after its --sniff, it already speaks raw and
// closes that connection. Join finds out that it is a hubbub all the same, and
// messages on that connection are neither lost nor doubled.
func TestJoinFindsAHubbubThatIsAskedLate(t *testing.T) {
	t.Parallel()
	for _, replay := range []string{"unheard", "all"} {
		for name, heard := range map[string]bool{"heard": true, "not heard": false} {
			t.Run(replay+", "+name, func(t *testing.T) {
				t.Parallel()
				p := start(t, "serve", "127.0.0.1:0", "--out", "json", "--sniff", "500ms", "--replay", replay)
				p.says("one\n")
				way := listenFor(t)
				j := start(t, "join", way.Addr().String())
				slow := way.visited()
				slow.hearsQuestion()
				hub, err := net.Dial("tcp", p.address())
				if err != nil {
					t.Fatal(err)
				}
				raw := newPeer(t, hub)
				raw.Hears("one\n")
				if heard {
					slow.Says("one\n")
				}
				raw.Says("GET / HTTP/1.1\r\n\r\n")
				raw.hearsEnd()
				_ = slow.Close()
				go carryOn(way, p.address())
				p.stdout.Until(t, `"protocol":"hubbub.v1"`)
				p.says("two\n")
				j.stdout.Is(t, "one\ntwo\n")
				j.says("said\n")
				p.stdout.Until(t, `"text":"said"`)
				_ = j.stdin.Close()
				j.exits(exitDone)
				if said := j.stderr.Ends(t); said != "" {
					t.Errorf("STDERR says %q", said)
				}
			})
		}
	}
}

// carryOn carries one more connection.
func carryOn(way net.Listener, to string) {
	ours, err := way.Accept()
	if err != nil {
		return
	}
	defer ours.Close()
	theirs, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer theirs.Close()
	go func() {
		_, _ = io.Copy(theirs, ours)
		_ = theirs.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(ours, theirs)
}

// If a hubbub refuses join, join does not fall back to raw but prints the reason.
func TestJoinSaysWhyItIsRefused(t *testing.T) {
	t.Parallel()
	s := listenFor(t)
	c := start(t, "join", s.Addr().String())
	p := s.visited()
	p.Says("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n\r\nthere are 1000 clients")
	c.exits(exitFailed)
	if said := c.stderr.Ends(t); said != "hubbub: hubbub.v1 at "+s.Addr().String()+": the server refused: 503 there are 1000 clients\n" {
		t.Errorf("STDERR says %q", said)
	}
}

// On a terminal join makes control bytes visible over hubbub.v1 too.
func TestJoinShowsControlBytesOfHubbubV1(t *testing.T) {
	t.Parallel()
	s := serveV1(t, "tcp", "127.0.0.1:0")
	ours, theirs := openTerminal(t)
	launch{args: []string{"join", "ws://" + s.address}, stdout: theirs}.start(t)
	v := s.visited(helloV1)
	v.says(`{"type":"message","seq":5,"text":"\u001b[2J\u0007 plain"}`)
	scene.Collect(ours).Until(t, `\x1b[2J\x07 plain`)
}

// A line that is too long for the server is skipped as a whole, and join reports
// it.
func TestJoinSaysWhatWasTooLong(t *testing.T) {
	t.Parallel()
	s := serveV1(t, "tcp", "127.0.0.1:0")
	c := start(t, "join", "ws://"+s.address, "--eof", "exit")
	v := s.visited(helloV1)
	c.says("before\n" + strings.Repeat("x", 1001) + "\nafter\n")
	_ = c.stdin.Close()
	v.hears(`{"type":"message","n":1,"text":"before"}`)
	v.says(`{"type":"ack","n":1}`)
	v.hears(`{"type":"message","n":2,"text":"after"}`)
	v.says(`{"type":"ack","n":2}`)
	if _, _, err := v.c.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("it leaves with %v", err)
	}
	c.exits(exitFailed)
	if said := c.stderr.Ends(t); !strings.Contains(said, "did not send 1 message of STDIN: the server takes 1000 bytes at most") {
		t.Errorf("STDERR says %q", said)
	}
}

// Join may use any host name that leads to the server. (This machine's own may not
// lead to the loopback, so the test sends the Host that join would.)
func TestAServerAnswersToAnyNameOfAProgram(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	c, _, err := websocket.Dial(t.Context(), "ws://"+p.address(), &websocket.DialOptions{Host: "hub.example:9000", Subprotocols: []string{"hubbub.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"message","text":"hello"}`)); err != nil {
		t.Fatal(err)
	}
	p.stdout.Is(t, "hello\n")
}
