//go:build unix

package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/engine/delivery"
	"hubbub.example/internal/scene"
)

// hall returns a hub whose port tells by the first bytes what is spoken.
func hall(t *testing.T, o Config) (h *Engine, address string) {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	at, err := h.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return h, at[0]
}

// say broadcasts.
func (h *Engine) say(t *testing.T, messages ...string) {
	t.Helper()
	for _, m := range messages {
		if err := h.Broadcast(t.Context(), []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// getsText reads one text frame.
func getsText(t *testing.T, r io.Reader, want string) {
	t.Helper()
	f, err := readFrame(r)
	if err != nil || f.Header.OpCode != ws.OpText || string(f.Payload) != want {
		t.Fatalf("a WebSocket got %d %.80q, %v, want %.80q", f.Header.OpCode, f.Payload, err, want)
	}
}

// A form's feed goes when nobody has read it for a while, and comes again with
// its next client, who misses nothing; what the last had heard stays heard.
func TestAFormsFeedComesAndGoes(t *testing.T) {
	t.Parallel()
	h, at := hall(t, Config{Inbox: InboxNone, Pace: Pace{EncodingKept: time.Millisecond}})
	next := 0
	for range 5 {
		h.say(t, fmt.Sprint(next), fmt.Sprint(next+1))
		c, r := upgrade(t, at, "/", "")
		for range 2 {
			getsText(t, r, fmt.Sprint(next))
			next++
		}
		f := h.backlog.Feed(backlog.Frames)
		h.say(t, fmt.Sprint(next))
		getsText(t, r, fmt.Sprint(next))
		next++
		_ = c.Close()
		scene.Until(t, "its feed is gone", func() bool { return h.backlog.Feed(backlog.Frames) == nil })
		scene.Until(t, "there is no client", func() bool { return h.Stats().Clients == 0 })
		if f.Head() == f.Whole() {
			t.Error("there was nothing in it")
		}
	}
	// It reaches back as far as it is asked to.
	_, r := upgrade(t, at, "/?last=1000", "")
	for i := range next {
		getsText(t, r, fmt.Sprint(i))
	}
}

// All feeds together keep no more than the backlog. A message that is more than
// that in all its forms is delivered all the same, and holds nothing up.
func TestTheBacklogIsForAllFormsTogether(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	for _, message := range []string{strings.Repeat("x", 100), strings.Repeat("\x01", limit/4)} {
		h, at := hall(t, Config{Inbox: InboxNone, Backlog: limit, Patience: 5 * time.Second})
		var reading sync.WaitGroup
		for _, o := range []struct{ target, protocol string }{{"/", ""}, {"/", "hubbub.v1"}} {
			_, r := upgrade(t, at, o.target, o.protocol)
			reading.Go(func() { _, _ = io.Copy(io.Discard, r) })
		}
		events := ask(t, at, "Accept: text/event-stream")
		reading.Go(func() { _, _ = io.Copy(io.Discard, events) })
		scene.Until(t, "all are there", func() bool { return h.Stats().Joins == 3 })
		bound := limit + 10*int64(len(message))
		for range 300 {
			h.say(t, message)
			kept := int64(0)
			for e := range backlog.Encodings {
				f := h.backlog.Feed(e)
				if f == nil {
					t.Fatal("an encoding has no feed")
				}
				kept += f.Head() - f.Whole()
			}
			if kept > bound {
				t.Fatalf("%d bytes are kept of messages of %d bytes", kept, len(message))
			}
		}
		if n := h.Stats(); n.Clients != 3 {
			t.Errorf("only %d clients are left", n.Clients)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		reading.Wait()
	}
}

// Who asks for the past has nothing dropped for it, and gets what there is room
// for.
func TestThePastDropsNothing(t *testing.T) {
	t.Parallel()
	h, at := hall(t, Config{Inbox: InboxNone, Backlog: 64 << 10, Slow: delivery.Cut})
	for i := range 300 {
		h.say(t, fmt.Sprintf("%04d%s", i, strings.Repeat("x", 996)))
	}
	for range 2 { // what was to go for these has gone
		h.on(func(*shard) {})
	}
	whole := h.backlog.Feed(backlog.Canonical).Whole()
	_, r := upgrade(t, at, "/?last=1000", "hubbub.v1")
	if f, err := readFrame(r); err != nil || !bytes.Contains(f.Payload, []byte("hello")) {
		t.Fatal(string(f.Payload), err)
	}
	for range 2 {
		h.on(func(*shard) {})
	}
	if now := h.backlog.Feed(backlog.Canonical).Whole(); now != whole {
		t.Errorf("the oldest that is kept begins at %d, before at %d", now, whole)
	}
}

// An idle client of any form costs what a raw one does.
func TestAnIdleClientHasNothingExtra(t *testing.T) {
	t.Parallel()
	h, at := hall(t, Config{})
	go func() {
		for range h.events(context.Background()) { // they only have to be taken
		}
	}()
	for _, protocol := range []string{"", "hubbub.v1"} {
		c, r := upgrade(t, at, "/?last=0", protocol)
		message := string(masked(ws.OpText, `{"type":"message","text":"hello"}`))
		_, _ = io.WriteString(c, message[:3])
		if protocol != "" {
			if _, err := readFrame(r); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = io.WriteString(c, message[3:]+string(masked(ws.OpPing, "")))
		if f, err := readFrame(r); err != nil || f.Header.OpCode != ws.OpPong {
			t.Fatalf("a ping is answered with %v, %v", f, err)
		}
	}
	ask(t, at, "Accept: text/event-stream")
	ask(t, at, "Accept: text/plain")
	scene.Until(t, "all are there", func() bool { return h.Stats().Joins == 4 })
	h.say(t, "hello")
	scene.Until(t, "nobody has anything extra", func() bool {
		extras := 0
		h.on(func(l *shard) {
			for _, c := range l.clients {
				if c.end != nil {
					extras++
				}
			}
		})
		return extras == 0
	})
}
