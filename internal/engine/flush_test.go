//go:build unix

package engine

// These tests count what a delivery costs.

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/engine/backlog"
	"hubbub.example/internal/scene"
)

// audience is a hub and clients that take what they are sent.
type audience struct {
	*Engine
	t       *testing.T
	clients []net.Conn
	buf     []byte
}

func gather(t *testing.T, loops, clients int) *audience {
	t.Helper()
	h, err := New(Config{Loops: loops, Inbox: InboxNone})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	at, err := h.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &audience{Engine: h, t: t, buf: make([]byte, 1<<10)}
	for range clients {
		conn, err := net.Dial("tcp", at[0])
		if err == nil {
			err = conn.SetDeadline(time.Now().Add(scene.LongEnough))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		a.clients = append(a.clients, conn)
	}
	if err := h.WaitForClients(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	// A client counts when it is accepted; in the next turn it is its loop's.
	a.settle()
	return a
}

// settle waits until each loop has ended the turn it is in.
func (a *audience) settle() {
	a.t.Helper()
	done := make(chan struct{}, len(a.loops))
	for _, l := range a.loops {
		l.Do(func() { done <- struct{}{} })
	}
	for range a.loops {
		<-done
	}
}

// hears waits until everybody has what.
func (a *audience) hears(what []byte) {
	a.t.Helper()
	for _, conn := range a.clients {
		got := a.buf[:len(what)]
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, what) {
			a.t.Fatalf("a client has %q, %v, want %q", got, err, what)
		}
	}
}

// A message costs one system call for each client, and so do several that
// come at once.
func TestOneSendADelivery(t *testing.T) {
	const clients = 300 // more than a slice
	for _, loops := range []int{1, 2} {
		a := gather(t, loops, clients)
		for _, c := range []struct {
			lines string
			ends  []int
		}{
			{"one\n", []int{4}},
			{"one\ntwo\nthree\n", []int{4, 8, 14}},
		} {
			before := a.Stats()
			for round := range int64(10) {
				if _, err := a.backlog.Publish(backlog.Messages{Bytes: []byte(c.lines), Ends: c.ends}, backlog.Paced); err != nil {
					t.Fatal(err)
				}
				a.hears([]byte(c.lines))
				a.settle()
				now := a.Stats()
				if sends, want := now.Sends-before.Sends, (round+1)*clients; sends != want {
					t.Fatalf("%d loops: %d sends to %d clients, want %d", loops, sends, clients, want)
				}
				if out, want := now.BytesOut-before.BytesOut, (round+1)*clients*int64(len(c.lines)); out != want {
					t.Fatalf("%d loops: %d bytes went out, want %d", loops, out, want)
				}
			}
		}
	}
}

// A message costs memory when it comes, and none for each client.
func TestDeliveriesAllocateNothing(t *testing.T) {
	const clients, rounds = 100, 200
	a := gather(t, 2, clients)
	message := []byte("sixty-four bytes, less the newline, make a short line of a log")
	line := append(bytes.Clone(message), '\n')
	broadcast := func(times int) {
		for range times {
			if err := a.Broadcast(t.Context(), message); err != nil {
				t.Fatal(err)
			}
			a.hears(line)
		}
	}
	broadcast(rounds / 4) // what is made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	broadcast(rounds)
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / rounds; each > clients/10 {
		t.Errorf("%.1f allocations a message to %d clients", each, clients)
	}
}

// Nor does it for clients that speak WebSocket: a message is encoded once.
func TestDeliveriesInFramesAllocateNothing(t *testing.T) {
	const clients, rounds = 60, 200
	for _, protocol := range []string{"", "hubbub.v1"} {
		h, at := hall(t, Config{Inbox: InboxNone})
		var readers []io.Reader
		for range clients {
			_, r := upgrade(t, at, "/?last=0", protocol)
			if protocol != "" { // hello
				if _, err := readFrame(r); err != nil {
					t.Fatal(err)
				}
			}
			readers = append(readers, r)
		}
		scene.Until(t, "all are there", func() bool { return h.Stats().Joins == clients })
		message := []byte("sixty-four bytes, less the newline, make a short line of a log")
		length := len(codec.AppendMessage(nil, message))
		if protocol != "" {
			length = len(codec.AppendNumbered(nil, 100, time.Now(), codec.By{}, message)) // three digits
		}
		buf := make([]byte, length)
		broadcast := func(times int) {
			for range times {
				if err := h.Broadcast(t.Context(), message); err != nil {
					t.Fatal(err)
				}
				for _, r := range readers {
					if _, err := io.ReadFull(r, buf); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for h.backlog.Count() < 99 { // up to three digits, whatever they are
			if err := h.Broadcast(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range readers {
			for range 99 {
				if _, err := readFrame(r); err != nil {
					t.Fatal(err)
				}
			}
		}
		broadcast(rounds / 4)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		broadcast(rounds)
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / rounds; each > clients/10 {
			t.Errorf("%q: %.1f allocations a message to %d clients", protocol, each, clients)
		}
	}
}
