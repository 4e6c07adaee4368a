//go:build unix

package engine

import (
	"fmt"
	"net"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// silentOnes connects n that say nothing to an address for HTTP.
func silentOnes(t testing.TB, h *Engine, n int) {
	t.Helper()
	at, err := h.Listen("http://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		c, err := net.Dial("tcp", at[0])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	scene.Until(t, "they are there", func() bool {
		there := 0
		h.on(func(l *shard) { there += l.lobby.Len() })
		return there == n
	})
}

// Who is refused, for there are enough, does not hold the source.
func TestWhoIsRefusedHoldsNothing(t *testing.T) {
	t.Parallel()
	h, at := hall(t, Config{Loops: 1, MaxClients: 1, Sniff: time.Minute})
	upgrade(t, at, "/", "")
	silent, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	scene.Until(t, "it is there", func() bool {
		there := false
		h.on(func(l *shard) { there = l.lobby.Quiet() == 1 })
		return there
	})
	h.on(func(l *shard) {
		if !l.lobbyKeeps(1) {
			t.Error("one that may still speak holds nothing")
		}
		l.lobby.Sniff = 0 // its time is over
		if l.lobbyKeeps(1) {
			t.Error("one that has been refused holds the source")
		}
	})
}

func BenchmarkBroadcastBesideSilentOnes(b *testing.B) {
	for _, n := range []int{0, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, err := New(Config{Loops: 1, Inbox: InboxNone})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			silentOnes(b, h, n)
			for b.Loop() {
				if err := h.Broadcast(b.Context(), []byte("hello")); err != nil {
					b.Fatal(err)
				}
				h.on(func(*shard) {}) // a turn
			}
		})
	}
}
