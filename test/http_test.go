//go:build unix

package hubbub_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// mounted returns a stage whose hub stands at /hub/ of an HTTP server that has other
// things as well.
func mounted(t *testing.T, o hubbub.Options) (*stage, *httptest.Server) {
	t.Helper()
	s := openAny(t, o)
	mux := http.NewServeMux()
	mux.Handle("/hub/", http.StripPrefix("/hub", s.Hub))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "another page") })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.at = server.Listener.Addr().String()
	return s, server
}

// Who comes by way of an HTTP server that holds the hub is a client like any
// other: streams, WebSockets, hubbub.v1 and posts.
func TestServeHTTPServesEveryKind(t *testing.T) {
	t.Parallel()
	s, _ := mounted(t, hubbub.Options{})
	text := s.stream("/hub/?last=0&name=ann")
	bare := s.socket("/hub/?last=0")
	numbered, hello := s.v1("/hub/?last=0")
	s.says("one")
	text.Hears("one\n")
	bare.hearsText("one")
	if m := numbered.object("message"); m.Text != "one" || hello.Epoch != s.Epoch() {
		t.Errorf("hubbub.v1 got %+v after %+v", m, hello)
	}
	bare.Says("\x81\x85\x00\x00\x00\x00hello")
	s.hears("2 hello")
	post := dial(t, s.at)
	post.Says(request("POST", "/hub/", "Transfer-Encoding: chunked", "Expect: 100-continue"))
	if line, err := post.R.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("a post is answered with %q (%v)", line, err)
	}
	_, _ = post.R.ReadString('\n')
	post.Says("4\r\nhi 1\r\n5\r\n\nhi 2\r\n0\r\n\r\n")
	if answer := post.answered("POST"); answer.StatusCode != http.StatusNoContent || !answer.Close {
		t.Errorf("a post is answered with %v, close %v", answer.Status, answer.Close)
	}
	s.hears("2 hello", "4 hi 1", "4 hi 2")
	if list := s.Clients(); len(list) != 3 {
		t.Errorf("there are %+v", list)
	}
}

// What came right behind the request is the client's first message.
func TestServeHTTPKeepsWhatCameBehindTheRequest(t *testing.T) {
	t.Parallel()
	s, _ := mounted(t, hubbub.Options{})
	p := dial(t, s.at)
	p.Says(request("GET", "/hub/", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==") +
		"\x81\x85\x00\x00\x00\x00hello")
	if answer := p.answered("GET"); answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("it is answered with %s", answer.Status)
	}
	s.hears("1 hello")
}

// The server that holds the hub goes on as it was: a connection that the hub
// has answered ends, and a request for another page never comes to the hub.
func TestServeHTTPLeavesTheServerAlone(t *testing.T) {
	t.Parallel()
	s, _ := mounted(t, hubbub.Options{})
	for _, c := range []struct{ target, want string }{
		{"/", "another page"},
		{"/hub/healthz", `"status":"ok"`},
		{"/hub/nothing", "not found"},
	} {
		if _, body := s.get(c.target); !strings.Contains(body, c.want) {
			t.Errorf("GET %s: %q, want %q", c.target, body, c.want)
		}
	}
	p := dial(t, s.at)
	p.Says(request("GET", "/hub/healthz") + request("GET", "/"))
	answer := p.answered("GET")
	if !answer.Close {
		t.Error("the hub keeps the connection")
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	if rest, err := io.ReadAll(p.R); len(rest) > 0 {
		t.Errorf("behind the answer came %q (%v)", rest, err)
	}
}

// More at a time than are answered at a time wait their turn.
func TestServeHTTPHasManyAtATime(t *testing.T) {
	t.Parallel()
	s, _ := mounted(t, hubbub.Options{})
	const many = 400
	var all []*peer
	for range many {
		p := dial(t, s.at)
		p.Says(request("GET", "/hub/?last=0"))
		all = append(all, p)
	}
	for _, p := range all {
		if answer := p.answered("GET"); answer.StatusCode != http.StatusOK {
			t.Fatalf("one is answered with %s", answer.Status)
		}
	}
	s.says("hello")
	for _, p := range all {
		p.Hears("hello\n")
	}
}

func TestServeHTTPRefusesTLS(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	server := httptest.NewTLSServer(s.Hub)
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if why, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusNotImplemented || !strings.Contains(string(why), "without TLS") {
		t.Errorf("it is answered with %s %q", answer.Status, why)
	}
}

func TestServeHTTPSaysThatTheHubHasEnded(t *testing.T) {
	t.Parallel()
	s, _ := mounted(t, hubbub.Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := s.get("/hub/"); code != http.StatusServiceUnavailable {
		t.Errorf("it is answered with %d", code)
	}
}

// Connections from a listener of the caller's are served like those of Listen.
func TestServeServesAListener(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{Sniff: 1})
			address := "127.0.0.1:0"
			if network == "unix" {
				address = strings.TrimPrefix(unixAddress(t), "unix:")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }()
			if s.at = l.Addr().String(); network == "unix" {
				s.at = "unix:" + s.at
			}
			raw := s.client()
			raw.Says("hello\n")
			s.hears("1 hello")
			page := s.stream("/?last=0")
			s.says("one")
			raw.Hears("one\n")
			page.Hears("one\n")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := scene.Next(t, served, "the end of Serve"); !errors.Is(err, hubbub.ErrClosed) {
				t.Errorf("Serve says %v", err)
			}
			if c, err := net.Dial(network, l.Addr().String()); err == nil {
				c.Close()
				t.Error("the listener is still there")
			}
		})
	}
}

// A listener that fails ends Serve, not the hub; and so does one whose
// connections are no sockets.
func TestServeSaysWhyItEnds(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("of a closed listener Serve says %v", err)
	}
	one, other := net.Pipe()
	defer other.Close()
	if err := s.Serve(pipes{one}); err == nil || !strings.Contains(err.Error(), "must be a TCP or Unix socket") {
		t.Errorf("of pipes Serve says %v", err)
	}
	if err := s.Broadcast(patient(t), []byte("it goes on")); err != nil {
		t.Error(err)
	}
}

// pipes is a listener for one connection that is no socket.
type pipes struct{ net.Conn }

func (p pipes) Accept() (net.Conn, error) { return p.Conn, nil }
func (p pipes) Addr() net.Addr            { return p.LocalAddr() }
