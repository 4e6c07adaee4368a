//go:build unix

package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/intake"
	"hubbub.example/internal/scene"
)

// A defect that makes a loop panic ends the hub with an error, and not the
// program around it.
func TestAPanicEndsTheHubOnly(t *testing.T) {
	t.Parallel()
	h, err := New(Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	defer cancel()
	at, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.loops[0].Do(func() { panic("on purpose") })
	if err := h.Wait(); err == nil || !strings.Contains(err.Error(), "a defect in hubbub ended a loop: on purpose") {
		t.Errorf("the hub ended with %v", err)
	}
	if c, err := net.Dial("tcp", at[0]); err == nil {
		_ = c.Close()
		t.Error("it listens on")
	}
	if err := h.Broadcast(ctx, []byte("hello")); !errors.Is(err, backlog.ErrClosed) {
		t.Errorf("Broadcast afterwards: %v", err)
	}
	if _, err := h.inbox.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("Receive afterwards: %v", err)
	}
	if _, err := h.Drain(ctx, time.Second); err == nil {
		t.Error("Drain afterwards says that all is well")
	}
}

// However many have much to say, a turn reads a bounded part of it, and everybody
// has his turn.
func TestATurnIsBounded(t *testing.T) {
	t.Parallel()
	const clients = 200
	for _, says := range []string{"raw", "websocket"} {
		h, at := hall(t, Config{Loops: 1, Inbox: InboxNone, Sniff: time.Minute})
		flood := bytes.Repeat(masked(ws.OpPing, ""), intake.ReadSize/8)
		if says == "raw" {
			flood = bytes.Repeat([]byte("nothing\n"), intake.ReadSize/8)
		}
		var all []net.Conn
		for range clients {
			var c net.Conn
			if says == "websocket" {
				c, _ = upgrade(t, at, "/?last=0", "")
			} else if c, _ = net.Dial("tcp", at); c == nil {
				t.Fatal("it cannot connect")
			}
			defer c.Close()
			all = append(all, c)
		}
		var most int64
		h.on(func(l *shard) { // it is kept while all of that comes
			for _, c := range all {
				_ = c.SetDeadline(time.Now().Add(scene.LongEnough))
				if _, err := c.Write(flood); err != nil {
					t.Error(err)
				}
			}
			last := l.stats.bytesIn
			var watch func()
			watch = func() { // in the next turn
				most = max(most, l.stats.bytesIn-last)
				if last = l.stats.bytesIn; last < int64(clients*len(flood)) {
					l.Do(watch)
				}
			}
			l.Do(watch)
		})
		scene.Until(t, "all of it is read", func() bool { return h.Stats().BytesIn == int64(clients*len(flood)) })
		h.on(func(*shard) {})
		if most > 2*(turnBytes+intake.ReadSize) || most == 0 {
			t.Errorf("%s: a turn read %d bytes", says, most)
		}
	}
}
