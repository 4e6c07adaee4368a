//go:build unix

package engine

import (
	"testing"

	"hubbub.example/internal/engine/link"
	"hubbub.example/internal/engine/loop"
)

// What a burst made grow is given up, and who is still there is still there.
func TestRoomIsGivenUp(t *testing.T) {
	l := &shard{Loop: &loop.Loop{}, engine: &Engine{}}
	var burst []*client
	for fd := range 5000 {
		c := &client{link: link.New(fd, true, 0)}
		burst = append(burst, c)
		if err := l.register(c, true); err != nil {
			t.Fatal(err)
		}
		l.clients.add(c)
	}
	l.scratch()
	stays := burst[7]
	for _, c := range burst {
		if c != stays {
			l.byFD[c.link.FD()] = nil
			l.clients.remove(c)
		}
	}
	l.shrink()
	if room := cap(l.clients) + cap(l.byFD) + cap(l.waste); room > 100 {
		t.Errorf("there is room for %d of nothing", room)
	}
	if l.byFD[stays.link.FD()] != stays || l.clients[stays.place] != stays {
		t.Error("who stayed is lost")
	}
}
