package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// This file is a browser far away from its server, farther than the server
// waits for a client's first word.

// farWire carries TCP connections to a server, each byte for so long.
type farWire struct {
	end
	to   string
	long time.Duration
}

func farWireTo(t *testing.T, address string, long time.Duration) *farWire {
	t.Helper()
	w := &farWire{to: address, long: long}
	w.end = openEnd(t, w.carry)
	return w
}

// carry takes a connection to the server. As in TCP, what is said at once comes
// right behind the handshake.
func (w *farWire) carry(near net.Conn) {
	defer near.Close()
	up := delayed(near, w.long)
	<-time.After(w.long)
	far, err := scene.Connect(w.to, nil)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { deliver(far, up) })
	both.Go(func() { deliver(near, delayed(far, w.long)) })
	both.Wait()
}

// parcel is bytes under way.
type parcel struct {
	due  time.Time
	data []byte
}

// delayed returns what comes from c, with when it is to arrive.
func delayed(c net.Conn, long time.Duration) <-chan parcel {
	way := make(chan parcel, 1<<12)
	go func() {
		defer close(way)
		for {
			buf := make([]byte, 32<<10)
			n, err := c.Read(buf)
			if n > 0 {
				way <- parcel{time.Now().Add(long), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	return way
}

func deliver(c net.Conn, way <-chan parcel) {
	for p := range way {
		<-time.After(time.Until(p.due))
		if _, err := c.Write(p.data); err != nil {
			break
		}
	}
	_ = c.(*net.TCPConn).CloseWrite()
	for range way { // nobody takes it
	}
}

// A browser opens spare connections and sends nothing on them at first. A busy
// server does not take them for raw clients meanwhile: the page loads from near
// and far, and is the only client.
func TestThePageLoadsFromFarAway(t *testing.T) {
	t.Parallel()
	for _, long := range []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(fmt.Sprint(long), func(t *testing.T) {
			t.Parallel()
			p := start(t, "serve", "127.0.0.1:0", "--verbose")
			tick(t, p)
			w := farWireTo(t, p.address(), long)
			b := browse(t)
			for range 3 {
				page := b.open(w.url())
				page.isLive()
				page.when(`hubbub.count > 10`)
			}
			if text := p.stderr.Text(); strings.Contains(text, "raw) joined") {
				t.Errorf("taken for a raw client:\n%s", text)
			}
		})
	}
	// Others at its address are not kept waiting for long, nor for ever.
	t.Run("raw", func(t *testing.T) {
		t.Parallel()
		p := start(t, "serve", "127.0.0.1:0")
		tick(t, p)
		c := p.client()
		browser := p.client()
		browser.Says("GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0\r\n\r\n")
		if line, err := c.R.ReadString('\n'); err != nil || !strings.HasPrefix(line, "tick ") {
			t.Error(line, err)
		}
	})
}
