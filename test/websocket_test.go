//go:build unix

package hubbub_test

// WebSockets through the hub: what goes in comes out, whatever it looks like on
// the way, and control frames have their turn.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// A client that others have made speaks with the hub: both ways, pings and the
// close handshake.
func TestAClientOthersHaveMade(t *testing.T) {
	t.Parallel()
	for _, protocols := range [][]string{nil, {"hubbub.v1"}, {"other", "hubbub.v1"}} {
		s := openAny(t, hubbub.Options{})
		ctx := patient(t)
		c, _, err := websocket.Dial(ctx, "ws://"+s.at+"/?name=ann", &websocket.DialOptions{Subprotocols: protocols})
		if err != nil {
			t.Fatal(err)
		}
		protocol, said, heard := "websocket", "hello", []string{"from the hub"}
		if protocols != nil {
			protocol, said, heard = "hubbub.v1", `{"type":"message","text":"hello"}`, []string{`"hello"`, `"from the hub"`}
		}
		if err := c.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
			t.Fatal(err)
		}
		s.hears("1 hello")
		if e := s.events.All()[1]; e.Name != "ann" || e.Protocol != protocol {
			t.Errorf("it was said by %+v", e)
		}
		s.says("from the hub")
		for _, want := range heard {
			kind, got, err := c.Read(ctx)
			if err != nil || kind != websocket.MessageText || !strings.Contains(string(got), want) {
				t.Errorf("it gets %q, %v, want %s", got, err, want)
			}
		}
		c.CloseRead(ctx)
		if err := c.Ping(ctx); err != nil {
			t.Error(err)
		}
		_ = c.Close(websocket.StatusNormalClosure, "goodbye")
		if reason := s.leaves(1); reason != "done" {
			t.Errorf("it left because %q", reason)
		}
	}
}

// A ping is answered before what lies in front of the client, but never inside
// a message, however far behind it is.
func TestAPongOvertakes(t *testing.T) {
	t.Parallel()
	const n, size = 400, 20_000
	s := openAny(t, hubbub.Options{SocketOptions: []string{"SO_SNDBUF=16384"}})
	c := s.narrowSocket("/")
	for i := range n {
		s.says(string(numbered(i, size)))
	}
	c.Says(string(frame(ws.OpPing, true, []byte("now"))))
	scene.Until(t, "it is there", func() bool { return c.unacked() == 0 })
	ponged, next := -1, 0
	for next < n {
		op, p := c.next()
		switch {
		case op == ws.OpPong && string(p) == "now" && ponged < 0:
			ponged = next
		case op == ws.OpText && string(p) == string(numbered(next, size)):
			next++
		default:
			t.Fatalf("behind message %d comes %d %s", next-1, op, scene.Brief(string(p)))
		}
	}
	if ponged < 0 || ponged > n/4 {
		t.Errorf("the pong came behind %d messages of %d", ponged, n)
	}
}

// Whoever begins the close handshake, it is ended with the right code, and in
// order with what was said before.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{MaxMessage: 1000})
	for _, c := range []struct {
		says   string
		code   int
		reason string
	}{
		{closing(1000, "goodbye"), 1000, "done"},
		{closing(1001, ""), 1001, "done"},
		{string(frame(ws.OpClose, true, nil)), 1005, "done"},
		{closing(3000, "mine"), 3000, "closed with 3000"},
		{closing(4999, ""), 4999, "closed with 4999"},
		{closing(1013, ""), 1013, "closed with 1013"},
		{closing(1005, ""), 1002, ""},
		{closing(2000, ""), 1002, ""},
		{closing(5000, ""), 1002, ""},
		{string(frame(ws.OpClose, true, []byte{3})), 1002, ""},
		{closing(1000, "\xff"), 1007, ""},
		{string(frame(ws.OpContinuation, true, nil)), 1002, ""},
		{string(frame(ws.OpText, false, nil)) + text("a"), 1002, ""},
		{"\x81\x01a", 1002, ""}, // not masked
		{string(frame(ws.OpPing, false, nil)), 1002, ""},
		{string(frame(ws.OpPing, true, make([]byte, 126))), 1002, ""},
		{text("\xff"), 1007, ""},
		{string(frame(ws.OpText, false, []byte("\xc3"))) + string(frame(ws.OpContinuation, true, nil)), 1007, ""},
		{text(strings.Repeat("x", 1001)), 1009, ""},
		{string(frame(ws.OpBinary, false, make([]byte, 1000))) + string(frame(ws.OpContinuation, false, []byte{0})), 1009, ""},
	} {
		client := s.socket("/?last=0")
		id := uint64(s.Stats().Joins)
		client.Says(text("before") + c.says)
		client.hearsClose(c.code)
		_ = client.Close()
		if reason := s.leaves(id); c.reason != "" && reason != c.reason {
			t.Errorf("%q: it left because %q, want %q", c.says, reason, c.reason)
		}
		all := texts(s.events.All())
		if last := all[len(all)-1]; last != fmt.Sprintf("%d before", id) {
			t.Errorf("%q: the last that was heard is %s", c.says, scene.Brief(last))
		}
	}
	c := s.socket("/?last=0")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if reason := s.leaves(uint64(s.Stats().Joins)); reason != "the connection ended without a close frame" {
		t.Errorf("it left because %q", reason)
	}
}

// A hub that drains says so with 1001, behind all that there is.
func TestADrainingHubSaysSo(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	bare := s.socket("/")
	numbered, _ := s.v1("/")
	s.says("one", "two")
	draining := begins(func() error { return s.Drain(patient(t), scene.LongEnough) })
	bare.hearsText("one", "two")
	bare.hearsClose(1001)
	_ = bare.Close()
	numbered.object("message")
	numbered.object("message")
	numbered.hearsClose(1001)
	_ = numbered.Close()
	if err := draining(); err != nil {
		t.Error(err)
	}
}

// Messages of every size come out whole, in order, however they are cut on the
// way: in fragments, with pings between, and at the boundaries of what is read.
func TestMessagesHoweverTheyAreCut(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		r := rand.New(rand.NewPCG(1, 2))
		var want []string
		var all []byte
		add := func(size int, cut func(p []byte) []byte) {
			p := numbered(len(want), max(size, 10))
			want = append(want, "1 "+string(p))
			all = append(all, cut(p)...)
		}
		whole := func(p []byte) []byte { return frame(ws.OpText, true, p) }
		pieces := func(most int) func(p []byte) []byte {
			return func(p []byte) (out []byte) {
				for op := ws.OpBinary; ; op = ws.OpContinuation {
					n := min(len(p), 1+r.IntN(most))
					out = append(out, frame(op, n == len(p), p[:n])...)
					if p = p[n:]; len(p) == 0 {
						return out
					}
					switch r.IntN(100) {
					case 0:
						out = append(out, frame(ws.OpPing, true, []byte("between"))...)
					case 1:
						out = append(out, frame(ws.OpPong, true, nil)...)
					case 2:
						out = append(out, frame(ws.OpContinuation, false, nil)...)
					}
				}
			}
		}
		for _, boundary := range []int{125, 126, 64 << 10, 128 << 10, 256 << 10, 1 << 20} {
			for d := -15; d <= 0; d++ {
				if boundary < 1<<20 || d > -2 {
					add(boundary+d, whole)
				}
			}
		}
		for range 5000 { // many in one read
			add(10, whole)
		}
		for range 20 {
			add(r.IntN(3000), pieces(1))
			add(r.IntN(100_000), pieces(20_000))
			add(r.IntN(500), whole)
		}
		s := openAt(t, address, unhurried(hubbub.Options{Backlog: 16 << 20}))
		c := s.socket("/?last=0")
		saying := begins(func() error {
			for rest := all; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN(100_000))
				if _, err := c.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		})
		go func() { _, _ = io.Copy(io.Discard, c.R) }()
		s.hears(want...)
		if err := saying(); err != nil {
			t.Error(err)
		}
	})
}

// A newline inside a message leaves it one event, one at its end is not another
// message; on a line protocol it comes out as several.
func TestANewlineInsideAMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		framing hubbub.Framing
		says    []string
		events  []string
		plain   string
	}{
		{hubbub.FramingLines, []string{"a\nb", "c\n", "", "\n", "\n\n", "d"}, []string{"a\nb", "c", "", "", "\n", "d"}, "a\nb\nc\n\n\n\n\nd\n"},
		{hubbub.FramingLines, []string{"a\r\n", "b\r\nc\r\n", "d\r", "\r\n", "e\rf", "g"}, []string{"a", "b\nc", "d", "", "e\rf", "g"}, "a\nb\nc\nd\n\ne\rf\ng\n"},
		{hubbub.FramingNUL, []string{"a\r\n", "b\r\x00"}, []string{"a\r\n", "b\r"}, "a\r\n\x00b\r\x00"},
		{hubbub.FramingNUL, []string{"a\nb", "c\x00", "d\x00e"}, []string{"a\nb", "c", "d\x00e"}, "a\nb\x00c\x00d\x00e\x00"},
		{hubbub.FramingRaw, []string{"a\n", "", "b"}, []string{"a\n", "b"}, "a\nb"},
		{hubbub.Framing(3), []string{"abc", "\n\n\n"}, []string{"abc", "\n\n\n"}, "abc\n\n\n"},
	} {
		for _, protocol := range []string{"websocket", "hubbub.v1"} {
			s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Framing: c.framing}))
			p := s.listener(protocol, "/?last=0")
			for _, m := range c.says {
				if protocol == "websocket" {
					p.Says(string(frame(ws.OpBinary, true, []byte(m))))
				} else {
					p.Says(text(said(0, m)))
				}
			}
			var got []string
			var plain bytes.Buffer
			for len(got) < len(c.events) {
				b, err := s.Receive(patient(t))
				if err != nil {
					t.Fatalf("%v, %s: %q came: %v", c.framing, protocol, got, err)
				}
				for e := range b.Events() {
					if e.Kind == hubbub.Message {
						got = append(got, string(e.Data))
					}
				}
				plain.Write(b.Plain())
				b.Release()
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.events) || plain.String() != c.plain {
				t.Errorf("%v, %s: %q says %q and, plain, %q; want %q and %q", c.framing, protocol, c.says, got, plain.String(), c.events, c.plain)
			}
		}
	}
}

// What is no record is refused, and said so.
func TestAMessageThatIsNoRecord(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Framing: 3})
	c := s.socket("/")
	c.Says(text("ab"))
	if reason := c.hearsClose(1008); !strings.Contains(reason, "3 bytes") {
		t.Errorf("the reason is %q", reason)
	}
}

// What is broadcast comes in text frames if it is UTF-8, else in binary ones,
// without its separator, whatever that is.
func TestBroadcastsInFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		framing hubbub.Framing
		says    []string
	}{
		{hubbub.FramingLines, []string{"one", "", "\xff", strings.Repeat("é", 40_000)}},
		{hubbub.FramingNUL, []string{"one\ntwo", "\xff", ""}},
		{hubbub.FramingRaw, []string{"one", "\xc3"}},
		{hubbub.Framing(2), []string{"on", "\xff\x00"}},
	} {
		s := openAny(t, hubbub.Options{Framing: c.framing})
		p := s.socket("/")
		s.says(c.says...)
		for _, want := range c.says {
			op, got := p.next()
			if string(got) != want || (op == ws.OpText) != (want != "\xff" && want != "\xc3" && want != "\xff\x00") {
				t.Errorf("%v: it gets %d %s, want %s", c.framing, op, scene.Brief(string(got)), scene.Brief(want))
			}
		}
	}
}

// Where nobody wants messages they are read all the same: pings are answered,
// and the end is an end.
func TestAHubThatOnlySendsAnswersPings(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Inbox: hubbub.InboxNone})
	c := s.socket("/")
	c.Says(text("nobody wants this") + string(frame(ws.OpText, false, []byte("nor"))) + string(frame(ws.OpPing, true, []byte("ping"))))
	if op, p := c.next(); op != ws.OpPong || string(p) != "ping" {
		t.Errorf("it gets %d %q", op, p)
	}
	v, _ := s.v1("/")
	v.saysV1(1, "nor this")
	if o := v.object("ack"); o.N != 1 {
		t.Errorf("it gets %+v", o)
	}
	c.Says(closing(1000, ""))
	c.hearsClose(1000)
	_ = c.Close()
	s.has(1)
}

// An inbox that nobody empties pauses reading; then nothing is lost or torn.
func TestWebSocketsWaitForTheInbox(t *testing.T) {
	t.Parallel()
	const n, size = 4000, 1000
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{}))
	c := s.socket("/")
	v, _ := s.v1("/")
	saying := begins(func() error {
		return together(2, func(i int) error {
			for j := range n {
				p := frame(ws.OpText, true, numbered(j, size))
				to := c
				if i == 1 {
					to, p = v, []byte(text(said(uint64(j+1), string(numbered(j, size)))))
				}
				if _, err := to.Write(p); err != nil {
					return err
				}
			}
			return nil
		})
	})
	s.readsNoMore()
	s.says("going on")
	c.hearsText("going on")
	s.take()
	if err := saying(); err != nil {
		t.Fatal(err)
	}
	next := map[uint64]int{}
	for _, e := range s.events.When(t, "all messages", func(all []hubbub.Event) bool { return len(all) == 2*n+2 }) {
		if e.Kind != hubbub.Message {
			continue
		}
		if string(e.Data) != string(numbered(next[e.Client], size)) {
			t.Fatalf("client %d says %s", e.Client, scene.Brief(string(e.Data)))
		}
		next[e.Client]++
	}
}

// The beginnings of all messages together are bounded by the backlog; who has
// the longest goes.
func TestTheLargestShareOfBeginningsIsCut(t *testing.T) {
	t.Parallel()
	const backlog = 256 << 10
	s := openAny(t, hubbub.Options{Backlog: backlog})
	honest := s.socket("/")
	honest.Says(string(frame(ws.OpText, false, []byte("half a message, "))))
	for range 10 {
		c := s.socket("/")
		c.Says(string(frame(ws.OpText, false, make([]byte, backlog/4-1))))
	}
	s.logs("beginnings of messages fill the backlog")
	honest.Says(string(frame(ws.OpContinuation, true, []byte("and its end"))))
	s.hears("1 half a message, and its end")
}

// What has come of a message of hubbub.v1 counts as the bytes that came, be
// they escapes: what a client has the hub hold is bounded, however it writes.
func TestABeginningInEscapesCountsAsItCame(t *testing.T) {
	t.Parallel()
	const long, backlog = 60_000, 256 << 10
	s := openAny(t, hubbub.Options{Backlog: backlog, MaxMessage: long})
	honest := s.socket("/?last=0")
	honest.Says(string(frame(ws.OpText, false, []byte("half a message, "))))
	escapes, _ := s.v1("/?last=0")
	begun := `{"type":"message","text":"` + strings.Repeat(`\u0041`, long/2)
	escapes.Says(string(frame(ws.OpText, false, []byte(begun))))
	for range 2 {
		s.socket("/?last=0").Says(string(frame(ws.OpText, false, make([]byte, long))))
	}
	if reason := s.leaves(2); !strings.Contains(reason, "its own is the longest") {
		t.Errorf("it left because %q", reason)
	}
	honest.Says(string(frame(ws.OpContinuation, true, []byte("and its end"))))
	s.hears("1 half a message, and its end")
}

// A message of hubbub.v1 may be six times as long in JSON, and 1 KiB more, and
// arrives however it is cut; what is longer is refused with the first frame
// that makes it so.
func TestAMessageInEscapesIsBounded(t *testing.T) {
	t.Parallel()
	const longest = 1000
	s := openAny(t, hubbub.Options{MaxMessage: longest})
	c, _ := s.v1("/?last=0")
	message := `{"type":"message","text":"` + strings.Repeat(`\u0041`, longest) + `"}`
	message += strings.Repeat(" ", 6*longest+1024-len(message))
	c.Says(string(frame(ws.OpText, false, []byte(message[:longest]))))
	c.Says(string(frame(ws.OpContinuation, true, []byte(message[longest:]))))
	s.hears("1 " + strings.Repeat("A", longest))
	for _, begins := range []string{
		`{"type":"message","text":"` + strings.Repeat("x", 7*longest),
		`{"type":"message","text":"` + strings.Repeat(`\u0041`, 7*longest/6+10),
		`{"type":"message","base64":"` + strings.Repeat("YWFh", 7*longest/4),
	} {
		c, _ := s.v1("/?last=0")
		c.Says(string(frame(ws.OpText, false, []byte(begins))))
		c.hearsClose(1009)
	}
	for _, long := range []string{
		`{"type":"message","text":"` + strings.Repeat("x", longest+1) + `"}`,
		`{"type":"message","base64":"` + strings.Repeat("YWFh", (longest+3)/3) + `"}`,
	} {
		c, _ := s.v1("/?last=0")
		c.Says(string(frame(ws.OpText, true, []byte(long))))
		c.hearsClose(1009)
	}
}

// A client that never reads is cut with 1008, never inside a message; if it
// reads on it is told.
func TestALappedWebSocketIsTold(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"websocket", "hubbub.v1"} {
		for _, size := range []int{100, 30_000} {
			t.Run(fmt.Sprintf("%s, messages of %d bytes", protocol, size), func(t *testing.T) {
				t.Parallel()
				s := openAny(t, hubbub.Options{Slow: hubbub.SlowCut, Backlog: 256 << 10, SocketOptions: []string{"SO_SNDBUF=16384"}})
				var c *socket
				if protocol == "websocket" {
					c = s.narrowSocket("/?last=0")
				} else {
					c = s.narrowSocket("/?last=0", speaksV1)
					c.object("hello")
				}
				other := s.socket("/?last=0")
				// It has begun to receive: on a busy machine it may be lapped before its
				// loop has sent it anything more.
				s.says(string(numbered(0, size)))
				other.hearsText(string(numbered(0, size)))
				if op, p := c.next(); op != ws.OpText || !bytes.Contains(p, numbered(0, size)) {
					t.Fatalf("the first message is %d %s", op, scene.Brief(string(p)))
				}
				for i := 1; len(s.events.All()) < 3; { // both join, one leaves
					var batch []string
					// Which laps nobody who reads. Small, for c is to read on in time: one
					// that is cut and takes nothing for a second is closed.
					for range 1 + 4<<10/size {
						batch = append(batch, string(numbered(i, size)))
						i++
					}
					s.says(batch...)
					other.hearsText(batch...)
				}
				next, told := 1, protocol == "websocket"
				for {
					op, p := c.next()
					if bytes.HasPrefix(p, []byte(`{"type":"close","code":"lapped","reason":"lapped (`)) {
						told = true
						continue
					}
					if op == ws.OpClose {
						if !told {
							t.Error("it is closed without a code for programs")
						}
						if len(p) < 2 || binary.BigEndian.Uint16(p) != 1008 || !strings.HasPrefix(string(p[2:]), "lapped") {
							t.Errorf("it is closed with %q", p)
						}
						break
					}
					if op != ws.OpText || !bytes.Contains(p, numbered(next, size)) {
						t.Fatalf("message %d is %d %s", next, op, scene.Brief(string(p)))
					}
					next++
				}
				_ = c.Close()
				if reason := s.leaves(1); !strings.HasPrefix(reason, "lapped (") {
					t.Errorf("it left because %q", reason)
				}
			})
		}
	}
}

// With Wait, a WebSocket, or a stream, that takes nothing holds the source no
// longer than a patience.
func TestSlowClientInOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"text", "sse", "websocket", "hubbub.v1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{Backlog: 512 << 10, Patience: 300e6, SocketOptions: []string{"SO_SNDBUF=16384"}})
			headers := map[string][]string{"sse": {acceptEvents}, "websocket": handshake, "hubbub.v1": append([]string{speaksV1}, handshake...)}[protocol]
			p := dialNarrow(t, s.at)
			s.join(1, func() { p.asks("GET", "/?last=0", headers...) })
			ctx, stop := context.WithCancel(patient(t))
			pouring := begins(func() error {
				_, _, err := pour(ctx, s, 1000)
				return err
			})
			if reason := s.leaves(1); !strings.HasPrefix(reason, "too slow (") {
				t.Errorf("it left because %q", reason)
			}
			stop()
			if err := pouring(); err != nil {
				t.Error(err)
			}
		})
	}
}
