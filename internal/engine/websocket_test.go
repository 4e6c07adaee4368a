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
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"
)

// upgrade makes a WebSocket of a new connection.
func upgrade(t *testing.T, address, target, protocol string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(scene.LongEnough))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, shakeHands(t, c, target, protocol)
}

// shakeHands makes a WebSocket of c.
func shakeHands(t *testing.T, c net.Conn, target, protocol string) *bufio.Reader {
	t.Helper()
	if protocol != "" {
		protocol = "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", target, protocol)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake is answered with %v, %v", answer, err)
	}
	return r
}

// masked returns a frame as a client sends it.
func masked(op ws.OpCode, payload string) []byte {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, true, []byte(payload)))) // a Buffer takes all
	return b.Bytes()
}

// on has f done by each loop, and waits for that.
func (h *Engine) on(f func(l *shard)) {
	done := make(chan struct{})
	for _, l := range h.loops {
		l.Do(func() { f(l); done <- struct{}{} })
	}
	for range h.loops {
		<-done
	}
}

// becomes waits until the hub's clients are so.
func (h *Engine) becomes(t *testing.T, what string, is func(c *client) bool) {
	t.Helper()
	scene.Until(t, "a client "+what, func() (found bool) {
		h.on(func(l *shard) { found = found || slices.ContainsFunc(l.clients, is) })
		return found
	})
}

// What a client said before its connection broke is heard, also where it could
// not be read before the break was noticed; then it leaves.
func TestWhatWasSaidBeforeABreakIsHeard(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"", "hubbub.v1"} {
		for _, end := range []string{"", string(masked(ws.OpClose, "")), string(masked(ws.OpText, "\xff"))} {
			h, at := hall(t, Config{Loops: 1})
			all := h.takeAll()
			c, _ := upgrade(t, at, "/", protocol)
			said := "last words"
			if protocol != "" {
				said = `{"type":"message","n":1,"text":"last words"}`
			}
			if _, err := c.Write(append(masked(ws.OpText, said), end...)); err != nil {
				t.Fatal(err)
			}
			h.becomes(t, "waits to be read", func(c *client) bool { return c.link.Readable() })
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
			for range 2 {
				if err := h.Broadcast(t.Context(), []byte("anyone?")); err != nil {
					t.Fatal(err)
				}
			}
			h.becomes(t, "is broken", func(c *client) bool { return c.phase == halfBroken })
			for _, b := range all {
				b.Release()
			}
			ctx, cancel := context.WithTimeout(t.Context(), scene.LongEnough)
			defer cancel()
			var got []string
			for len(got) < 3 {
				b, err := h.inbox.Receive(ctx)
				if err != nil {
					t.Fatalf("%q with %q: only %q came: %v", protocol, end, got, err)
				}
				for e := range eventsOf(b) {
					got = append(got, describe(e))
				}
				b.Release()
			}
			if want := []string{"1 join", "1 message last words", "1 leave reset"}; !slices.Equal(got, want) {
				t.Errorf("%q with %q: %q came, want %q", protocol, end, got, want)
			}
		}
	}
}

// readFrame reads a frame, if it is not too long.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil || f.Header.Length > 1<<24 {
		return f, fmt.Errorf("a frame of %d bytes: %w", f.Header.Length, err)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
