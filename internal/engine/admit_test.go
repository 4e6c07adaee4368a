//go:build unix

package engine

import (
	"io"
	"net"
	"testing"

	"hubbub.example/internal/engine/accept"
	"hubbub.example/internal/scene"
)

// However many are refused at once, and whatever they say, those who are there
// are served; and when they have gone nothing of them takes anybody's room.
func TestManyRefusedHarmNobody(t *testing.T) {
	t.Parallel()
	const many, get = 3 * accept.MaxLingering, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	for address, input := range map[string]string{"tcp://127.0.0.1:0": "hello\n", "127.0.0.1:0": get, "http://127.0.0.1:0": get} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			a := gather(t, 1, 3)
			a.on(func(*shard) { a.gate.MaxConnections = 3 })
			at, err := a.Listen(address)
			if err != nil {
				t.Fatal(err)
			}
			comes := func(says string) net.Conn {
				c, err := net.Dial("tcp", at[0])
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				_, _ = io.WriteString(c, says) // it may be refused already, and gone
				return c
			}
			openings := []string{"", "hello\n", "POST / HT", get}
			var refused []net.Conn
			for i := range many {
				refused = append(refused, comes(openings[i%len(openings)]))
			}
			scene.Until(t, "all are refused", func() bool { return a.Stats().Refused == many })
			a.on(func(l *shard) {
				if n := l.lobby.Len(); n > accept.MaxLingering {
					t.Errorf("%d linger at a time", n)
				}
			})
			a.say(t, "still there?")
			a.hears([]byte("still there?\n"))
			for _, c := range refused {
				_ = c.Close()
			}
			scene.Until(t, "nothing is left of them", func() bool { return a.gate.Lingering() == 0 && a.gate.Connections() == 3 })
			a.on(func(l *shard) {
				a.gate.MaxConnections = 4
				if n := len(l.clients) + l.lobby.Len(); n != 3 {
					t.Errorf("the loop has %d connections, want 3", n)
				}
			})
			comes(input)
			scene.Until(t, "there is room again", func() bool { return a.Stats().Clients == 4 })
		})
	}
}

// An address that is opened while accepting pauses takes nothing from the earlier
// ones: all are served when it goes on.
func TestAnAddressOpenedDuringAPauseLeavesTheOthers(t *testing.T) {
	t.Parallel()
	h, first := hall(t, Config{Loops: 1, Inbox: InboxNone})
	h.on(func(l *shard) { l.watch(false); h.resting.Store(true) })
	later, err := h.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.resting.Store(false)
	h.wakeAll()
	for i, at := range []string{first, later[0]} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			t.Fatal(err)
		}
		scene.Until(t, "a client at "+at+" is there", func() bool { return h.Stats().Joins == int64(i+1) })
	}
}
