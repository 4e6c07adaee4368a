//go:build unix

package web_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

// file returns a stream's descriptor as something that can be read and written.
// It fails if the descriptor blocks.
func file(t *testing.T, fd int) *os.File {
	t.Helper()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Fatalf("flags %x, %v", flags, err)
	}
	f := os.NewFile(uintptr(fd), "stream")
	t.Cleanup(func() { f.Close() })
	if err := f.SetDeadline(time.Now().Add(scene.LongEnough)); err != nil {
		t.Fatal(err)
	}
	return f
}

// What net/http had read behind the request belongs to the stream.
func TestStreamGoesBackWithItsInput(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, request("GET /?name=ann&last=3 HTTP/1.1", "Host: localhost")+"hello\n")
	r := v.head("GET")
	if r.code != 200 || !r.Close || r.Header.Get("Date") == "" || len(r.TransferEncoding) > 0 {
		t.Fatalf("%+v", r)
	}
	s := scene.Next(t, c.streams, "a stream")
	if string(s.Input) != "hello\n" || s.Name != "ann" || s.Last != 3 || s.Peer != local || !s.First || s.Kind != web.Text {
		t.Fatalf("%+v", s)
	}
	f := file(t, s.FD)
	v.send("more\n")
	if got, err := io.ReadAll(io.LimitReader(f, 5)); string(got) != "more\n" {
		t.Fatalf("%q %v", got, err)
	}
	io.WriteString(f, "a message\n")
	f.Close()
	if rest, err := io.ReadAll(v.r); string(rest) != "a message\n" || err != nil {
		t.Fatalf("%q %v", rest, err)
	}
}

func TestUnixSocketStreams(t *testing.T) {
	c := open(t, nil)
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range ends {
		unix.CloseOnExec(fd)
		unix.SetNonblock(fd, true)
	}
	client := file(t, ends[0])
	io.WriteString(client, request("GET / HTTP/1.1", "Host: anything"))
	if !c.Take(ends[1], web.Peer{Unix: true, Local: true}) {
		t.Fatal("there is no place")
	}
	f := file(t, scene.Next(t, c.streams, "a stream").FD)
	io.WriteString(f, "a message\n")
	f.Close()
	if all, err := io.ReadAll(client); !strings.HasPrefix(string(all), "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(string(all), "\r\n\r\na message\n") || err != nil {
		t.Fatalf("%q %v", all, err)
	}
}

// Who has nothing more to say is a listener yet.
func TestHalfClosedClientGetsItsStream(t *testing.T) {
	c := open(t, nil)
	for _, headers := range []string{anything, events, handshake} {
		client, fd := c.pair()
		v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
		v.send(request("GET / HTTP/1.1", "Host: localhost", headers))
		v.Conn.(*net.TCPConn).CloseWrite()
		if !c.Take(fd, local) {
			t.Fatal("there is no place")
		}
		v.head("GET")
		f := file(t, scene.Next(t, c.streams, "a stream").FD)
		if n, err := f.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: %d, %v", headers, n, err)
		}
		io.WriteString(f, "a message\n")
		if line, err := v.r.ReadString('\n'); line != "a message\n" {
			t.Errorf("%s: %q, %v", headers, line, err)
		}
	}
}

// Where a stream begins is decided before it is answered: what a client causes
// once it has the answer comes to it.
func TestStreamBeginsBeforeItsAnswer(t *testing.T) {
	for _, headers := range []string{"", "Accept: text/event-stream", handshake} {
		var asked atomic.Int64
		taken := make(chan web.Stream, 1)
		answered := make(chan bool)
		c := open(t, func(o *web.Options) {
			o.Begin = func(s web.Stream) any { return asked.Add(1) + int64(s.Last) }
			o.Stream = func(s web.Stream) {
				<-answered
				taken <- s
			}
		})
		v := c.visit(local, request("GET /?last=41 HTTP/1.1", "Host: localhost", headers))
		v.head("GET")
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: it was asked %d times", headers, n)
		}
		close(answered)
		s := scene.Next(t, taken, "a stream")
		unix.Close(s.FD)
		if s.Begin != int64(42) {
			t.Errorf("%s: it begins at %v", headers, s.Begin)
		}
	}
}

// A stream costs no goroutine, no place and no second descriptor.
func TestStreamLeavesNothingBehind(t *testing.T) {
	c := open(t, nil)
	before := runtime.NumGoroutine()
	for range 50 {
		client, fd := c.pair()
		v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
		v.send(request("GET / HTTP/1.1", "Host: localhost"))
		if !c.Take(fd, local) {
			t.Fatal("there is no place")
		}
		v.head("GET")
		s := scene.Next(t, c.streams, "a stream")
		defer unix.Close(s.FD)
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d is still open: %v", fd, err)
		}
	}
	scene.Until(t, "goroutines stay", func() bool { return runtime.NumGoroutine() <= before })
	scene.Until(t, "places stay taken", func() bool { return c.Free() == 256 })
}

func TestStreamIsWhatItsRequestAsksFor(t *testing.T) {
	c := open(t, nil)
	session := strings.Repeat("aB3-_", 4)
	for _, test := range []struct {
		target  string
		headers []string
		want    web.Stream
	}{
		{"/", nil, web.Stream{Kind: web.Text, Last: -1}},
		{"/?since=h5x2q9tk-4711", nil, web.Stream{Kind: web.Text, Last: -1, Since: "h5x2q9tk-4711"}},
		{"/?since=", nil, web.Stream{Kind: web.Text, Last: -1}},
		{"/?last=0", nil, web.Stream{Kind: web.Text, Last: 0}},
		{"/?last=99999999999999999999", nil, web.Stream{Kind: web.Text, Last: 1<<31 - 1}},
		{"/?name=+J%C3%BCrgen+", nil, web.Stream{Kind: web.Text, Last: -1, Name: "Jürgen"}},
		{"/?name=" + strings.Repeat("a", 64), nil, web.Stream{Kind: web.Text, Last: -1, Name: strings.Repeat("a", 64)}},
		{"/?other=1", nil, web.Stream{Kind: web.Text, Last: -1}},
		{"/?session=" + session, nil, web.Stream{Kind: web.Text, Last: -1}},
		{"/?session=x", []string{handshake}, web.Stream{Kind: web.WebSocket, Last: -1}},
		{"/?since=a-1", []string{events, "Last-Event-ID: b-2"}, web.Stream{Kind: web.Events, Last: -1, Since: "b-2"}},
		{"/?last=5", []string{events, "Last-Event-ID: \xffwhatever"}, web.Stream{Kind: web.Events, Last: 5, Since: "\xffwhatever"}},
		{"/", []string{handshake}, web.Stream{Kind: web.WebSocket, Last: -1}},
		{"/?name=a&since=a-1&last=2", []string{handshake}, web.Stream{Kind: web.WebSocket, Last: 2, Name: "a", Since: "a-1"}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: hubbub.v1"}, web.Stream{Kind: web.V1, Last: -1}},
		{"/?session=" + session, []string{handshake, "Sec-WebSocket-Protocol: chat, hubbub.v1"}, web.Stream{Kind: web.V1, Last: -1, Session: session}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: hubbub.v1"}, web.Stream{Kind: web.V1, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: chat, HUBBUB.V1"}, web.Stream{Kind: web.WebSocket, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol:chat,hubbub.v1 ,\thubbub.v1"}, web.Stream{Kind: web.V1, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: hubbub.v2, ,", "Sec-WebSocket-Protocol: hubbub.v1"}, web.Stream{Kind: web.V1, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: hubbub.v1;q=1"}, web.Stream{Kind: web.WebSocket, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: a b, hubbub.v1"}, web.Stream{Kind: web.V1, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: \"hubbub.v1\""}, web.Stream{Kind: web.WebSocket, Last: -1}},
		{"/", []string{handshake, "Sec-WebSocket-Protocol: "}, web.Stream{Kind: web.WebSocket, Last: -1}},
	} {
		v := c.visit(local, request("GET "+test.target+" HTTP/1.1", append(test.headers, "Host: localhost")...))
		r := v.head("GET")
		got := scene.Next(t, c.streams, "a stream")
		unix.Close(got.FD)
		test.want.FD, test.want.Peer, test.want.First = got.FD, local, true
		if isWebSocket := got.Kind == web.WebSocket || got.Kind == web.V1; isWebSocket != (r.code == 101) {
			t.Errorf("%s %q: a %d becomes %+v", test.target, test.headers, r.code, got)
		}
		if got.Input != nil {
			t.Errorf("%s: input %q", test.target, got.Input)
		}
		got.Input = nil
		if !same(got, test.want) {
			t.Errorf("%s %q: %+v, want %+v", test.target, test.headers, got, test.want)
		}
		if chosen := r.Header.Get("Sec-WebSocket-Protocol"); (chosen == "hubbub.v1") != (got.Kind == web.V1) || chosen != "" && got.Kind != web.V1 {
			t.Errorf("%q: chosen is %q", test.headers, chosen)
		}
	}
}

func same(a, b web.Stream) bool {
	return a.FD == b.FD && a.Peer == b.Peer && a.First == b.First && a.Kind == b.Kind && a.Since == b.Since &&
		a.Last == b.Last && a.Name == b.Name && a.Session == b.Session
}

// Whoever takes anything gets text; events and the page must be named.
func TestAcceptDecides(t *testing.T) {
	c := open(t, nil)
	const text, page, stream = "text/plain; charset=utf-8", "text/html; charset=utf-8", "text/event-stream"
	for accept, want := range map[string]string{
		"":                                    text,
		"*/*":                                 text,
		"text/*":                              text,
		"application/json":                    text,
		"nonsense;;q=,":                       text,
		"text/event-stream":                   stream,
		"Text/Event-Stream; q=0.1":            stream,
		"text/event-stream, */*":              stream,
		"text/event-stream;q=0":               text,
		"text/event-stream;q=0, text/html":    page,
		"text/event-stream;q=0.5, text/plain": text,
		"text/html, text/event-stream":        stream,
		"text/html;q=0, */*":                  text,
		"text/html;q=0.2, */*;q=0.1":          page,
		"text/html, text/plain":               page,
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8": page, // a browser
		"application/xhtml+xml":             page,
		"text/html;q=NaN":                   page,
		"*/*\r\nAccept: text/event-stream":  stream,
		"text/html;level=1;q=0.5, */*;q=.4": page,
	} {
		r, _ := c.ask(local, request("GET / HTTP/1.1", "Host: localhost", "Accept: "+accept))
		if got := r.Header.Get("Content-Type"); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}

func TestRecordsAreNoText(t *testing.T) {
	c := open(t, func(o *web.Options) { o.TextType = "application/octet-stream" })
	if r, _ := c.ask(local, request("GET / HTTP/1.1", "Host: localhost")); r.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatal(r.Header)
	}
}

// A real client: what it says and hears after the handshake are frames.
func TestWebSocketOpens(t *testing.T) {
	c := open(t, nil)
	for protocol, kind := range map[string]web.Kind{"": web.WebSocket, "hubbub.v1": web.V1} {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, fd := c.pair()
			go c.takeWhenAsked(fd)
			return client, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), scene.LongEnough)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, "ws://localhost:9000/?name=ann", &websocket.DialOptions{
			HTTPClient:   &http.Client{Transport: &http.Transport{DialContext: dial}},
			Subprotocols: []string{"chat", protocol}[min(1, len(protocol)):],
		})
		if err != nil {
			t.Fatal(err)
		}
		s := scene.Next(t, c.streams, "a stream")
		if s.Kind != kind || s.Name != "ann" || ws.Subprotocol() != protocol {
			t.Errorf("%+v, %q", s, ws.Subprotocol())
		}
		f := file(t, s.FD)
		f.Write([]byte("\x81\x05hello"))
		if _, got, err := ws.Read(ctx); string(got) != "hello" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if err := ws.Write(ctx, websocket.MessageText, []byte("hi")); err != nil {
			t.Error(err)
		}
		frame := make([]byte, 2+4+2)
		if _, err := io.ReadFull(f, frame); err != nil || frame[0] != 0x81 || frame[1] != 0x82 {
			t.Errorf("%x %v", frame, err)
		}
		ws.CloseNow()
	}
}

// takeWhenAsked waits, as a loop does, until a request waits in the socket.
func (c *stage) takeWhenAsked(fd int) {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(ready, int(scene.LongEnough.Milliseconds())); n > 0 || err != unix.EINTR {
			break
		}
	}
	c.Take(fd, local)
}

func TestBadHandshakesAreToldWhatIsWrong(t *testing.T) {
	c := open(t, nil)
	const (
		upgrade    = "Upgrade: websocket"
		connection = "Connection: keep-alive, Upgrade"
		version    = "Sec-WebSocket-Version: 13"
		key        = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	)
	for _, test := range []struct {
		first   string
		headers []string
		code    int
		body    string
	}{
		{"GET / HTTP/1.1", []string{upgrade, connection, version, key}, 101, ""},
		{"GET / HTTP/1.1", []string{"Upgrade: WebSocket", connection, version, key}, 101, ""},
		{"GET / HTTP/1.1", []string{upgrade, "Connection: keep-alive", "Connection: upgrade", version, key}, 101, ""},
		{"GET / HTTP/1.1", []string{upgrade, version, key}, 400, "Connection: Upgrade"},
		{"GET / HTTP/1.1", []string{upgrade, connection, "Sec-WebSocket-Version: 8", key}, 426, "13"},
		{"GET / HTTP/1.1", []string{upgrade, connection, key}, 426, "13"},
		{"GET / HTTP/1.1", []string{upgrade, connection, version}, 400, "Sec-WebSocket-Key"},
		{"GET / HTTP/1.1", []string{upgrade, connection, version, "Sec-WebSocket-Key: c2hvcnQ="}, 400, "16 bytes"},
		{"GET / HTTP/1.1", []string{upgrade, connection, version, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!"}, 400, "base64"},
		{"GET / HTTP/1.0", []string{upgrade, connection, version, key}, 400, "HTTP/1.1"},
		{"GET /nothing HTTP/1.1", []string{upgrade, connection, version, key}, 404, ""},
		{"GET /?since=x HTTP/1.1", []string{upgrade, connection, version, key}, 400, "EPOCH-SEQ"},
		{"GET /?session=short HTTP/1.1", []string{upgrade, connection, version, key, "Sec-WebSocket-Protocol: hubbub.v1"}, 400, "session must be 16 to 64"},
		// The upgrader itself says this.
		{"GET / HTTP/1.1", []string{"Upgrade: websocket, other", connection, version, key}, 400, ""},
		// What asks to become something else is served as what it is.
		{"GET / HTTP/1.1", []string{"Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"}, 200, ""},
	} {
		r, body := c.ask(local, request(test.first, append(test.headers, "Host: localhost")...))
		if r.code != test.code || !strings.Contains(body, test.body) {
			t.Errorf("%s %q: %d %q, want %d", test.first, test.headers, r.code, body, test.code)
		}
		if test.code == 426 && (r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Upgrade") != "websocket") {
			t.Errorf("%q: %v", test.headers, r.Header)
		}
	}
	if len(c.streams) > 0 {
		t.Errorf("%d streams", len(c.streams))
	}
	scene.Until(t, "places stay taken", func() bool { return c.Free()+c.Idle() == 256 })
}

// BenchmarkStream is one WebSocket's way here and back, its socket included.
func BenchmarkStream(b *testing.B) {
	streams := make(chan web.Stream, 1)
	s := web.New(web.Options{
		Full:   func() error { return nil },
		Begin:  func(web.Stream) any { return nil },
		Stream: func(s web.Stream) { streams <- s },
		Room:   func() {},
		Debugf: func(string, ...any) {},
	})
	defer s.Close()
	req := []byte(request("GET / HTTP/1.1", "Host: localhost", handshake))
	for b.Loop() {
		ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			b.Fatal(err)
		}
		unix.SetNonblock(ends[1], true)
		unix.Write(ends[0], req)
		if !s.Take(ends[1], web.Peer{Unix: true}) {
			b.Fatal("there is no place")
		}
		unix.Close((<-streams).FD)
		unix.Close(ends[0])
	}
}
