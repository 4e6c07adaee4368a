//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/proto"
	"hubbub.example/internal/scene"
)

// inOneTurn has the only loop find all that f does in one turn.
func (h *Engine) inOneTurn(f func()) {
	held, goOn := make(chan struct{}), make(chan struct{})
	h.loops[0].Do(func() { close(held); <-goOn })
	<-held
	f()
	close(goOn)
}

// A WebSocket that is kicked, and does not take at once what comes before, gets
// the rest of the message it stands in, once, and then the reason.
func TestKickEndsBehindAWholeMessage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 120<<10) // more than goes out at once
	for how, say := range map[string]func(h *Engine) error{
		"broadcast": func(h *Engine) error { return h.Broadcast(t.Context(), []byte(long)) },
		"sent": func(h *Engine) error {
			_, err := h.Send([]byte(long), 1)
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			// A reader that does not run for a second is not waited for. That may
			// happen to this one, but not again and again.
			var err error
			for range 5 {
				if err = kickedInside(t, long, say); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
}

// kickedInside returns what is wrong with what a WebSocket gets that is kicked
// while it takes a long message.
func kickedInside(t *testing.T, long string, say func(h *Engine) error) error {
	h, at := hall(t, Config{Loops: 1, Inbox: InboxNone, SocketOptions: []string{"SO_SNDBUF=8192"}})
	c, r := upgrade(t, at, "/", "")
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		return err
	}
	scene.Until(t, "it is there", func() bool { return h.Stats().Joins == 1 })
	if h.Kick(2, "") { // makes the list, which asks the loop
		return errors.New("there are two")
	}
	var failed error
	h.inOneTurn(func() {
		if failed = say(h); !h.Kick(1, "enough") {
			failed = errors.New("there is no client 1")
		}
	})
	if failed != nil {
		return failed
	}
	if f, err := readFrame(r); err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != long {
		return fmt.Errorf("it got %d %.80q, %v", f.Header.OpCode, f.Payload, err)
	}
	f, err := readFrame(r)
	if err != nil || f.Header.OpCode != ws.OpClose {
		return fmt.Errorf("behind it comes %d %.80q, %v", f.Header.OpCode, f.Payload, err)
	}
	if code, reason := ws.ParseCloseFrameData(f.Payload); proto.CloseCode(code) != proto.ClosePolicyViolation || reason != "kicked: enough" {
		return fmt.Errorf("it is told %d %q", code, reason)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		return fmt.Errorf("behind that comes %.80q, %v", rest, err)
	}
	return nil
}

// Who is kicked is not heard any more, whatever is done with it then.
func TestKickedStaysUnheard(t *testing.T) {
	h, at := hall(t, Config{Loops: 1, Inbox: InboxMessages})
	c, _ := upgrade(t, at, "/", "")
	scene.Until(t, "it is there", func() bool { return h.Stats().Joins == 1 })
	if !h.Mute(1, false) {
		t.Fatal("there is no client 1")
	}
	l := h.loops[0]
	h.inOneTurn(func() {
		l.Do(func() { // as when a walk through all takes more than one turn
			l.kick(l.clients[0], private{Private: delivery.Private{Data: []byte("kicked")}})
		})
		if !h.Mute(1, false) {
			t.Error("there is no client 1")
		}
		if _, err := c.Write(maskedText("hello")); err != nil {
			t.Error(err)
		}
	})
	scene.Until(t, "it has gone", func() bool { return h.Stats().Clients == 0 })
	if b := h.inbox.TryReceive(); b != nil {
		t.Errorf("it is heard: %q", b.Plain())
	}
}

// Who is kicked in the middle of a message of several frames is told that, not
// that the rest of the message breaks the protocol.
func TestKickInsideAFragmentedMessage(t *testing.T) {
	h, at := hall(t, Config{Loops: 1, Inbox: InboxMessages})
	c, r := upgrade(t, at, "/", proto.Subprotocol)
	if _, err := c.Write(maskedFrame(ws.NewFrame(ws.OpText, false, []byte(`{"type":"message",`)))); err != nil {
		t.Fatal(err)
	}
	h.becomes(t, "that has begun a message", func(c *client) bool { return c.Holds() > 0 })
	l := h.loops[0]
	h.inOneTurn(func() {
		l.Do(func() { // as when a walk through all takes more than one turn
			l.kick(l.clients[0], private{Private: delivery.Private{Data: []byte("enough")}})
		})
		if _, err := c.Write(maskedFrame(ws.NewFrame(ws.OpContinuation, true, []byte(`"text":"hello"}`)))); err != nil {
			t.Error(err)
		}
	})
	for {
		f, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpClose {
			if code, reason := ws.ParseCloseFrameData(f.Payload); proto.CloseCode(code) != proto.ClosePolicyViolation || reason != "kicked: enough" {
				t.Errorf("it is told %d %q", code, reason)
			}
			break
		}
	}
	if b := h.inbox.TryReceive(); b != nil && len(b.Plain()) > 0 {
		t.Errorf("it is heard: %q", b.Plain())
	}
}

func maskedFrame(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrame(f)) }

func maskedText(s string) []byte {
	return masked(ws.OpText, s)
}

// Whoever is kicked, renamed, muted or written to while it comes, talks and goes
// leaves once, and nothing of it stays.
func TestNothingStaysOfWhoEnds(t *testing.T) {
	const rounds, talkers = 9, 4
	h, at := hall(t, Config{Loops: 2, Backlog: 1 << 20, SocketOptions: []string{"SO_SNDBUF=8192"}})
	ctx, cancel := context.WithCancel(t.Context())
	var events sync.WaitGroup
	joins, leaves := map[uint64]int{}, map[uint64]int{}
	events.Go(func() {
		for e := range h.events(context.Background()) {
			switch {
			case e.Kind == intake.Join:
				joins[e.Client]++
			case e.Kind == intake.Leave:
				leaves[e.Client]++
			case joins[e.Client] != 1 || leaves[e.Client] > 0:
				t.Errorf("client %d says %.20q, and has come %d times and gone %d", e.Client, e.data, joins[e.Client], leaves[e.Client])
			}
		}
	})
	var bosses sync.WaitGroup
	for boss := range 2 {
		bosses.Go(func() {
			r := rand.New(rand.NewPCG(uint64(boss), 1))
			for ctx.Err() == nil {
				id := 1 + r.Uint64N(h.ids.Load()+1)
				switch r.IntN(6) {
				case 0:
					_ = h.Kick(id, "enough")
				case 1:
					_ = h.Mute(id, r.IntN(2) == 0)
				case 2:
					_, _ = h.Rename(id, [...]string{"", "ann"}[r.IntN(2)])
				case 3:
					_, _ = h.Send(make([]byte, r.IntN(20_000)), id, id+1)
				case 4:
					_ = h.BroadcastExcept(ctx, make([]byte, r.IntN(2000)), id, id+1)
				default:
					runtime.Gosched()
				}
			}
		})
	}
	var all sync.WaitGroup
	for i := range talkers {
		all.Go(func() {
			for round := range rounds {
				c, err := net.Dial("tcp", at)
				if err != nil {
					t.Error(err)
					return
				}
				comeAndGo(c, i, round)
			}
		})
	}
	all.Wait()
	cancel()
	bosses.Wait()
	scene.Until(t, "all have gone", func() bool { return h.Stats().Clients == 0 && h.gate.Connections() == 0 })
	for what, n := range map[string]int64{"letters": h.policy.Private.Used(), "beginnings": h.inbox.Beginnings.Used(), "of posts": h.inbox.Posts.Used(), "rests": h.policy.Kept.Used(), "known": int64(len(h.registry.known))} {
		if n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	events.Wait()
	if !maps.Equal(joins, leaves) {
		t.Errorf("these came: %v; these went: %v", joins, leaves)
	}
	for id, n := range joins {
		if n != 1 {
			t.Errorf("client %d came %d times", id, n)
		}
	}
}

// comeAndGo is one client's life: of each kind, and each way to go.
func comeAndGo(c net.Conn, kind, way int) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(scene.LongEnough))
	switch kind {
	case 0:
		_, _ = io.WriteString(c, "hello\nbegun")
	case 1:
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello\nbegun\r\n")
	default:
		protocol := [...]string{"", "Sec-WebSocket-Protocol: hubbub.v1\r\n"}[kind%2]
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", protocol)
		_, _ = c.Write(maskedText(`{"type":"message","n":1,"text":"hello"}`))
	}
	switch way % 3 {
	case 0: // it waits to be kicked, or to have heard enough
		_, _ = io.CopyN(io.Discard, c, 20_000)
	case 1:
		_, _ = io.CopyN(io.Discard, c, 1)
		_ = c.(*net.TCPConn).SetLinger(0)
	case 2:
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.CopyN(io.Discard, c, 5000)
	}
}
