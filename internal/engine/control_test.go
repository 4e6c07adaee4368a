//go:build unix

package engine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/scene"
)

// ask connects an HTTP stream.
func ask(t *testing.T, address string, headers ...string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(scene.LongEnough))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c, "GET /?last=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n", strings.Join(headers, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the answer is %v, %v", answer, err)
	}
	return r
}

// When nothing is sent a heartbeat is, again and again, also to who gets events.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	_, at := hall(t, Config{Pace: Pace{Heartbeat: 500 * time.Millisecond}, Inbox: InboxNone}) // three are what a busy machine may hold us up
	c, r := upgrade(t, at, "/?last=0", "hubbub.v1")
	events := ask(t, at, "Accept: text/event-stream")
	for i := range 4 {
		f, err := readFrame(r)
		if err != nil || i > 0 && string(f.Payload) != `{"type":"heartbeat"}` {
			t.Fatalf("it gets %q, %v", f.Payload, err)
		}
		if _, err := c.Write(masked(ws.OpText, `{"type":"heartbeat"}`)); err != nil {
			t.Fatal(err)
		}
		if line, err := events.ReadString('\n'); err != nil || line != ":\n" {
			t.Fatalf("events are %q, %v", line, err)
		}
		if line, err := events.ReadString('\n'); err != nil || line != "\n" {
			t.Fatalf("events are %q, %v", line, err)
		}
	}
}

// Who answers no heartbeat is dead after three.
func TestWhoAnswersNoHeartbeatIsDead(t *testing.T) {
	t.Parallel()
	const beat = 30 * time.Millisecond
	h, at := hall(t, Config{Pace: Pace{Heartbeat: beat}})
	began := time.Now()
	upgrade(t, at, "/?last=0", "hubbub.v1")
	for e := range h.events(context.Background()) {
		if e.Kind == intake.Leave {
			if took := time.Since(began); !strings.HasPrefix(e.Why.Text, "dead:") || took < deadAfterBeats*beat-beat/2 {
				t.Errorf("it left after %v because %q", took, e.Why.Text)
			}
			return
		}
	}
}

// A client that only listens, and answers what it is asked, lives, also where
// there is always something to be sent to it.
func TestWhoOnlyListensLivesOnABusyHub(t *testing.T) {
	t.Parallel()
	const beat = time.Second
	h, at := hall(t, Config{Pace: Pace{Heartbeat: beat}, Inbox: InboxNone})
	c, r := upgrade(t, at, "/?last=0", "hubbub.v1")
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(beat / 10):
				_ = h.Broadcast(t.Context(), []byte("busy"))
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	asked := 0
	for began := time.Now(); time.Since(began) < (deadAfterBeats+2)*beat; {
		f, err := readFrame(r)
		if err != nil || f.Header.OpCode != ws.OpText {
			t.Fatalf("it gets %d %q, %v", f.Header.OpCode, f.Payload, err)
		}
		if bytes.Contains(f.Payload, []byte(`"heartbeat"}`)) {
			asked++
			if _, err := c.Write(masked(ws.OpText, `{"type":"heartbeat"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if asked == 0 {
		t.Error("it was never asked")
	}
}

// The head of a request has its time, from its first byte on, and then an
// answer; however many there are, others are served.
func TestSlowHeads(t *testing.T) {
	t.Parallel()
	const many, headTime = 300, 3 * time.Second
	h, at := hall(t, Config{Pace: Pace{HeadTime: headTime}, Sniff: time.Minute, Inbox: InboxNone})
	var slow []net.Conn
	var began time.Time
	for i := range many {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(scene.LongEnough))
		if began = time.Now(); i > 0 {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHo")
		}
		slow = append(slow, c)
	}
	r := ask(t, at, "Accept: text/plain")
	scene.Until(t, "it is a client", func() bool { return h.Stats().Clients == 1 })
	h.say(t, "hello")
	if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatal(line, err)
	}
	for _, c := range slow[1:] {
		if answer, err := io.ReadAll(c); err != nil || string(answer) != tooSlow {
			t.Fatalf("a slow head is answered with %q, %v", answer, err)
		}
	}
	if took := time.Since(began); took < headTime*9/10 {
		t.Errorf("they had only %v", took)
	}
	// One that was silent for longer than that has the same time.
	_, _ = io.WriteString(slow[0], "GET / HTTP/1.1\r\nHo")
	h.on(func(l *shard) { l.turnLobby() })
	_, _ = io.WriteString(slow[0], "st: 127.0.0.1\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(slow[0]), nil); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("one that was silent first is answered with %v, %v", answer, err)
	}
	if n := h.Stats(); n.Joins != 2 && n.Joins != 1 || n.Refused != 0 {
		t.Errorf("connections that were no clients were counted: %+v", n)
	}
}

// Pings by the thousand get an answer to the newest, and keep nobody waiting.
func TestOnlyTheNewestPingNeedsAnAnswer(t *testing.T) {
	t.Parallel()
	const many = 5000
	_, at := hall(t, Config{Inbox: InboxNone})
	c, r := upgrade(t, at, "/", "")
	var all []byte
	for i := range many {
		all = append(all, masked(ws.OpPing, fmt.Sprint(i))...)
	}
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	pongs := 0
	for last := -1; last < many-1; pongs++ {
		f, err := readFrame(r)
		var n int
		if err == nil {
			_, err = fmt.Sscan(string(f.Payload), &n)
		}
		if err != nil || f.Header.OpCode != ws.OpPong || n <= last {
			t.Fatalf("after pong %d comes %d %q, %v", last, f.Header.OpCode, f.Payload, err)
		}
		last = n
	}
	if pongs > many/10 {
		t.Errorf("%d pings got %d pongs", many, pongs)
	}
}

// Whatever a WebSocket sends much of that is nothing, a read of it needs no
// memory, and what waits to be sent to it for that does not grow.
func TestAFloodOfNothingNeedsNoMemory(t *testing.T) {
	h, err := New(Config{Loops: 1, Inbox: InboxNone})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	at, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bare, _ := upgrade(t, at[0], "/", "")
	numbered, r := upgrade(t, at[0], "/", "hubbub.v1")
	if _, err := readFrame(r); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = bare.Close(), numbered.Close() }()
	for _, c := range []struct {
		name     string
		protocol codec.Protocol
		frame    []byte
	}{
		{"empty pings", codec.ProtocolWebSocket, masked(ws.OpPing, "")},
		{"long pings", codec.ProtocolWebSocket, masked(ws.OpPing, strings.Repeat("x", 125))},
		{"pongs", codec.ProtocolWebSocket, masked(ws.OpPong, "x")},
		{"empty messages", codec.ProtocolWebSocket, masked(ws.OpText, "")},
		{"empty lines", codec.ProtocolWebSocket, masked(ws.OpText, "\n")},
		{"heartbeats", codec.ProtocolV1, masked(ws.OpText, `{"type":"heartbeat"}`)},
		{"what nobody knows", codec.ProtocolV1, masked(ws.OpText, `{}`)},
		{"numbers it has", codec.ProtocolV1, masked(ws.OpText, `{"type":"message","n":1,"text":""}`)},
	} {
		flood, read := bytes.Repeat(c.frame, intake.ReadSize/len(c.frame)), make([]byte, intake.ReadSize)
		h.on(func(l *shard) {
			for _, to := range l.clients {
				if to.Protocol() != c.protocol {
					continue
				}
				needs := testing.AllocsPerRun(20, func() {
					l.take(to, to.TookFrames(l.in, read[:copy(read, flood)]))
				})
				if needs > 3 || to.phase != open {
					t.Errorf("a read of %s makes %v allocations; it is %v", c.name, needs, to.phase)
				}
				if x := to.out.Control(); cap(x.Notices)+cap(x.Pong) > 1000 {
					t.Errorf("for %s %d and %d bytes wait", c.name, cap(x.Notices), cap(x.Pong))
				}
			}
		})
	}
}
