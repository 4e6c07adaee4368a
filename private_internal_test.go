//go:build unix

package hubbub

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"hubbub.example/internal/codec"
)

// inOneTurn has the only loop find all that f does in one turn.
func (h *Hub) inOneTurn(f func()) {
	held, goOn := make(chan struct{}), make(chan struct{})
	h.loops[0].do(func() { close(held); <-goOn })
	<-held
	f()
	close(goOn)
}

// A WebSocket that is kicked, and does not take at once what comes before, gets
// the rest of the message it stands in, once, and then the reason.
func TestKickEndsBehindAWholeMessage(t *testing.T) {
	long := strings.Repeat("x", 120<<10)
	for how, say := range map[string]func(h *Hub) error{
		"broadcast": func(h *Hub) error { return h.Broadcast(t.Context(), []byte(long)) },
		"sent":      func(h *Hub) error { return h.Send([]byte(long), 1) },
	} {
		t.Run(how, func(t *testing.T) {
			h, at := hall(t, Options{Loops: 1, Inbox: InboxNone, SocketOptions: []string{"SO_SNDBUF=8192"}})
			c, r := upgrade(t, at, "/", "")
			if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
				t.Fatal(err)
			}
			is(t, "it is there", func() bool { return h.Stats().Joins == 1 })
			if err := h.Kick(2, ""); err == nil { // makes the list, which asks the loop
				t.Fatal("there are two")
			}
			var failed error
			h.inOneTurn(func() {
				if failed = say(h); failed == nil {
					failed = h.Kick(1, "enough")
				}
			})
			if failed != nil {
				t.Fatal(failed)
			}
			getsText(t, r, long)
			f, err := readFrame(r)
			if err != nil || f.Header.OpCode != ws.OpClose {
				t.Fatalf("behind it comes %d %.80q, %v", f.Header.OpCode, f.Payload, err)
			}
			if code, reason := ws.ParseCloseFrameData(f.Payload); code != codec.CloseRefused || reason != "kicked: enough" {
				t.Errorf("it is told %d %q", code, reason)
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("behind that comes %.80q, %v", rest, err)
			}
		})
	}
}

// Who is kicked is not heard any more, whatever is done with it then.
func TestKickedStaysUnheard(t *testing.T) {
	h, at := hall(t, Options{Loops: 1, Inbox: InboxMessages})
	c, _ := upgrade(t, at, "/", "")
	is(t, "it is there", func() bool { return h.Stats().Joins == 1 })
	if err := h.Mute(1, false); err != nil {
		t.Fatal(err)
	}
	l := h.loops[0]
	h.inOneTurn(func() {
		l.do(func() { // as when a walk through all takes more than one turn
			l.kick(l.clients[0], letter{data: []byte("kicked")})
		})
		if err := h.Mute(1, false); err != nil {
			t.Error(err)
		}
		if _, err := c.Write(maskedText("hello")); err != nil {
			t.Error(err)
		}
	})
	is(t, "it has gone", func() bool { return h.Stats().Clients == 0 })
	if b := h.TryReceive(); b != nil {
		t.Errorf("it is heard: %q", b.Plain())
	}
}

func maskedText(s string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(s))))
}
