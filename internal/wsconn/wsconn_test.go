package wsconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

// opened returns a WebSocket, and the server's end of its connection.
func opened(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	ours, theirs := scene.TCPPair(t)
	upgraded := make(chan error, 1)
	go func() {
		u := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "v1" }}
		_, err := u.Upgrade(theirs)
		upgraded <- err
	}()
	c, err := Open(ours, "host:1", "/?a=b", "v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	return c, theirs
}

func frame(f ws.Frame) string { return string(ws.MustCompileFrame(f)) }

func text(s string) string { return frame(ws.NewTextFrame([]byte(s))) }

// pieces returns a message in fragments, with something between them.
func pieces(between string, all ...string) string {
	stream := ""
	for i, s := range all {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpText
		}
		if i > 0 {
			stream += between
		}
		stream += frame(ws.NewFrame(op, i == len(all)-1, []byte(s)))
	}
	return stream
}

func receives(t *testing.T, c *Conn, want string) {
	t.Helper()
	if got, err := c.Receive(); err != nil || string(got) != want {
		t.Fatalf("it receives %.200q (%v), want %.200q", got, err, want)
	}
}

// gets reads what the client sends.
func gets(t *testing.T, conn net.Conn, op ws.OpCode, want string) {
	t.Helper()
	f, err := readFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Header.Masked {
		t.Error("the client does not mask")
	}
	if f = ws.UnmaskFrame(f); f.Header.OpCode != op || string(f.Payload) != want {
		t.Fatalf("the server gets op %d, %q, want %d, %q", f.Header.OpCode, f.Payload, op, want)
	}
}

func closing(code int) string { return string(ws.NewCloseFrameBody(ws.StatusCode(code), "")) }

// Another implementation, over net/http.
func TestTalksWithServerOfOthers(t *testing.T) {
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v1"}})
		if err != nil {
			ended <- err
			return
		}
		c.SetReadLimit(-1)
		ctx := context.Background()
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				ended <- err
				return
			}
			go c.Ping(ctx)
			_ = c.Write(ctx, kind, p)
		}
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := Open(conn, "example.com", "/?x=y", "v1")
	if err != nil {
		t.Fatal(err)
	}
	c.Limit(10 << 20)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 3 << 20} {
		want := strings.Repeat("é", size/2) + strings.Repeat("x", size%2)
		if err := c.Send([]byte(want), false); err != nil {
			t.Fatal(err)
		}
		receives(t, c, want)
	}
	if err := c.Close(1000, "done"); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = c.Receive()
	}
	var closed *proto.Closed
	if !errors.As(err, &closed) || closed.Code != 1000 {
		t.Errorf("at the end: %v", err)
	}
	if err := <-ended; websocket.CloseStatus(err) != 1000 {
		t.Errorf("the server was told %v", err)
	}
}

// What comes with the server's answer is not lost.
func TestFirstMessageMayComeWithTheAnswer(t *testing.T) {
	ours, theirs := scene.TCPPair(t)
	go func() {
		r, err := http.ReadRequest(bufio.NewReader(theirs))
		if err != nil {
			return
		}
		var answer bytes.Buffer
		_, _ = ws.Upgrader{Protocol: func([]byte) bool { return true }}.Upgrade(struct {
			io.Reader
			io.Writer
		}{again(r), &answer})
		_, _ = io.WriteString(theirs, answer.String()+text("first")+text("sec")[:4])
		_, _ = io.WriteString(theirs, text("sec")[4:])
	}()
	c, err := Open(ours, "h", "/", "v1")
	if err != nil {
		t.Fatal(err)
	}
	receives(t, c, "first")
	receives(t, c, "sec")
}

func again(r *http.Request) io.Reader {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n", r.Host)
	_ = r.Header.Write(&b)
	b.WriteString("\r\n")
	return &b
}

// A ping between the pieces of a message is answered.
func TestPingsInsideAMessage(t *testing.T) {
	c, s := opened(t)
	_, _ = io.WriteString(s, pieces(frame(ws.NewPingFrame([]byte("there?"))), "one ", "mess", "age"))
	receives(t, c, "one message")
	gets(t, s, ws.OpPong, "there?")
	_, _ = io.WriteString(s, frame(ws.NewPongFrame(nil))+text("more"))
	receives(t, c, "more")
}

// A server that pings and does not read keeps nobody from receiving.
func TestPongsDoNotHoldUpReceiving(t *testing.T) {
	c, s := opened(t)
	_ = s.SetReadBuffer(1)
	stuck := make(chan error, 1)
	go func() {
		var err error
		for block := bytes.Repeat([]byte("x"), 1<<20); err == nil; {
			err = c.Send(block, false)
		}
		stuck <- err
	}()
	for range 100 {
		_, _ = io.WriteString(s, frame(ws.NewPingFrame([]byte("?")))+text("x"))
		receives(t, c, "x")
	}
	_ = c.conn.Close()
	if err := <-stuck; err == nil {
		t.Error("sending does not end with the connection")
	}
}

// Messages of which more follow go out together, in order.
func TestMoreMayWait(t *testing.T) {
	c, s := opened(t)
	_ = c.Send([]byte("one"), true)
	_ = c.Send([]byte("two"), true)
	_ = s.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := s.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes were sent", n)
	}
	_ = s.SetReadDeadline(time.Now().Add(scene.LongEnough))
	_ = c.Send([]byte("three"), false)
	for _, want := range []string{"one", "two", "three"} {
		gets(t, s, ws.OpText, want)
	}
	_ = c.Close(1000, "")
	gets(t, s, ws.OpClose, closing(1000))
	if err := c.Send([]byte("late"), false); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending after the goodbye: %v", err)
	}
}

func TestGoodbyesAreReturned(t *testing.T) {
	for _, tt := range []struct {
		body, answer string
		code         int
		reason, says string
	}{
		{closing(1001), closing(1001), 1001, "", "the server closed the connection (1001)"},
		{string(ws.NewCloseFrameBody(1008, "too slow")), closing(1008), 1008, "too slow", "the server closed the connection: too slow (1008)"},
		{"", "", 1005, "", "the server closed the connection (1005)"},
		{closing(1012), closing(1012), 1012, "", "the server closed the connection (1012)"},
		{closing(1013), closing(1013), 1013, "", "the server closed the connection (1013)"},
		{closing(1014), closing(1014), 1014, "", "the server closed the connection (1014)"},
	} {
		c, s := opened(t)
		_, _ = io.WriteString(s, frame(ws.NewCloseFrame([]byte(tt.body))))
		_, err := c.Receive()
		var closed *proto.Closed
		if !errors.As(err, &closed) || err.Error() != tt.says {
			t.Fatalf("receiving a goodbye: %v", err)
		}
		if int(closed.Code) != tt.code || closed.Reason != tt.reason {
			t.Errorf("the goodbye is %d %q", closed.Code, closed.Reason)
		}
		gets(t, s, ws.OpClose, tt.answer)
	}
}

// What the server must not send ends the connection, with a code that says so.
func TestBreachesAreSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		stream string
		code   int
	}{
		"masked":                   {frame(ws.MaskFrame(ws.NewTextFrame([]byte("x")))), 1002},
		"reserved bits":            {"\xf1\x00", 1002},
		"reserved code":            {"\x83\x00", 1002},
		"a fragmented ping":        {"\x09\x00", 1002},
		"a long ping":              {"\x89\x7e\x00\x80", 1002},
		"continues nothing":        {frame(ws.NewFrame(ws.OpContinuation, true, nil)), 1002},
		"a message in another":     {frame(ws.NewFrame(ws.OpText, false, nil)) + text("x"), 1002},
		"length without end":       {"\x81\x7f\xff\x00\x00\x00\x00\x00\x00\x00", 1002},
		"binary":                   {frame(ws.NewBinaryFrame([]byte("x"))), 1003},
		"no UTF-8":                 {text("\xff"), 1007},
		"half a character":         {text("\xc3"), 1007},
		"too long":                 {text(strings.Repeat("x", 101)), 1009},
		"too long, in pieces":      {pieces("", strings.Repeat("x", 60), strings.Repeat("x", 41)), 1009},
		"too long, only announced": {"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009},
		"one byte of a code":       {"\x88\x01\x03", 1002},
		"a code that is none":      {frame(ws.NewCloseFrame([]byte(closing(1006)))), 1002},
		"a reason not in UTF-8":    {"\x88\x03\x03\xe8\xff", 1007},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := opened(t)
			c.Limit(100)
			_, _ = io.WriteString(s, tt.stream)
			_, err := c.Receive()
			var breach *proto.Breach
			if !errors.As(err, &breach) || int(breach.Code) != tt.code {
				t.Fatalf("it says %v, want code %d", err, tt.code)
			}
			gets(t, s, ws.OpClose, closing(tt.code))
		})
	}
}

// Wherever the connection closes, it is an end of file, and never a message.
func TestEndsOfFile(t *testing.T) {
	for _, stream := range []string{
		text("x"),
		text("x") + "\x81",
		text("x") + text("abc")[:2],
		text("x") + text("abc")[:4],
		text("x") + pieces("", "a", "b")[:3],
		text("x") + "\x89\x05ab",
		text("x") + pieces("", "a", "b")[:3] + "\x89",
	} {
		c, s := opened(t)
		_, _ = io.WriteString(s, stream)
		_ = s.CloseWrite()
		receives(t, c, "x")
		if _, err := c.Receive(); err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("after %q it says %v, want an end of file", stream, err)
		}
	}
}

// How a server answers that opens no WebSocket, and how long one takes to say
// that it speaks something else.
func TestWhatIsNoWebSocket(t *testing.T) {
	for _, tt := range []struct {
		answer string
		status int // 0: HTTP's, garbled; -1: no HTTP
		says   string
	}{
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 10\r\n\r\nfull house", 503, "the server refused: 503 full house"},
		{"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n a stranger\nand more\n", 403, "the server refused: 403 a stranger"},
		{"HTTP/1.1 421 Oh\r\nContent-Type: text/html\r\n\r\n<p>", 421, "the server refused: 421 Misdirected Request"},
		{"HTTP/1.1 400 Bad\r\n\r\n", 400, "the server refused: 400 Bad Request"},
		{"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n\n", 404, "the server refused: 404 Not Found"},
		{"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", 200, "the server did not open a WebSocket: 200 OK"},
		{"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>", 200, "the server did not open a WebSocket: 200 OK"},
		{"HTTP/1.0 501 Oh\r\nContent-Type: text/plain\r\n\r\nno such thing", 501, "the server refused: 501 no such thing"},
		{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 0, "malformed HTTP response: "},
		{"HTTP/1.0 101 Switching Protocols\r\n\r\n", 0, "malformed HTTP response: "},
		{"HTTP/1.1 2\r\n", 0, "malformed"},
		{"HTTP/1.", 0, "EOF"},
		{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxResponse), 0, "malformed HTTP response: "},
		{"hello\n", -1, "the server does not speak HTTP"},
		{"HTTX", -1, "the server does not speak HTTP"},
		{"\x00", -1, "the server does not speak HTTP"},
		{"HTTP", -1, "EOF"},
		{"", -1, "EOF"},
	} {
		ours, theirs := scene.TCPPair(t)
		open := tt.answer == "hello\n" || tt.answer == "\x00" || tt.answer == "HTTX" // nothing more need come
		go func() {
			_, _ = http.ReadRequest(bufio.NewReader(theirs))
			_, _ = io.WriteString(theirs, tt.answer)
			if !open {
				_ = theirs.CloseWrite()
			}
		}()
		_, err := Open(ours, "h", "/", "v1")
		status := -1
		if answer, is := err.(interface{ Status() int }); is {
			status = answer.Status()
		}
		if status != tt.status || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("after %q it says %v, want %s", tt.answer, err, tt.says)
		}
	}
}

func TestWebSocketWithoutTheSubprotocolIsNotTaken(t *testing.T) {
	ours, theirs := scene.TCPPair(t)
	go ws.Upgrader{}.Upgrade(theirs)
	_, err := Open(ours, "h", "/", "v1")
	if !errors.As(err, new(*BadHandshake)) || !strings.Contains(err.Error(), "not v1") {
		t.Error(err)
	}
}

// A frame that could not be sent whole is the last one sent: what followed
// would be taken for the rest of it.
func TestNothingFollowsAFrameThatBrokeOff(t *testing.T) {
	c, theirs := opened(t)
	_ = c.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	if err := c.Send(make([]byte, 64<<20), false); err == nil {
		t.Fatal("all is taken by a server that does not read")
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(scene.LongEnough))
	if err := c.Close(1000, ""); err != net.ErrClosed {
		t.Errorf("Close says %v", err)
	}
	_ = theirs.Close()
}

// FuzzReceive: whatever a server sends, it is a message or an error, and
// memory is not taken before it comes.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(text("hello") + frame(ws.NewPingFrame(nil)) + pieces("", "a", "b", "c")))
	f.Add([]byte(frame(ws.NewCloseFrame([]byte(closing(1001))))))
	f.Add([]byte("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := &Conn{conn: nowhere{}, r: bufio.NewReader(bytes.NewReader(stream)), limit: 1 << 40}
		for {
			p, err := c.Receive()
			if cap(c.message) > 4*(len(stream)+blockSize) {
				t.Fatalf("%d bytes are taken for %d", cap(c.message), len(stream))
			}
			if err != nil {
				return
			}
			if len(p) > len(stream) {
				t.Fatalf("a message of %d bytes out of %d", len(p), len(stream))
			}
		}
	})
}

// nowhere takes all that is sent.
type nowhere struct{ net.Conn }

func (nowhere) Write(p []byte) (int, error)      { return len(p), nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

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
