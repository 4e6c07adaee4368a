//go:build unix

package web_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

var health = request("GET /healthz HTTP/1.1", "Host: localhost")

// held returns a server whose /healthz answers when it is let.
func held(t *testing.T, change func(*web.Options)) (c *stage, asked chan struct{}, let chan struct{}) {
	asked, let = make(chan struct{}, 100), make(chan struct{})
	c = open(t, func(o *web.Options) {
		o.Health = func() (any, bool) {
			asked <- struct{}{}
			<-let
			return "well", true
		}
		change(o)
	})
	return c, asked, let
}

func TestConnectionIsServedAgainAndAgain(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, health)
	for range 20 {
		if r, _ := v.answer("GET"); r.code != 200 || r.Close {
			t.Fatalf("%+v", r)
		}
		v.send(health)
	}
	v.answer("GET")
	v.send(request("GET / HTTP/1.1", "Host: localhost"))
	v.head("GET")
	s := scene.Next(t, c.streams, "a stream")
	if s.First {
		t.Error("it is its first request")
	}
	unix.Close(s.FD)
}

// Requests sent at once are answered one after the other, and what follows
// one that becomes a stream is the stream's.
func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, health+request("GET /nothing HTTP/1.1", "Host: localhost")+request("GET / HTTP/1.1", "Host: localhost")+"hello")
	for _, code := range []int{200, 404} {
		if r, _ := v.answer("GET"); r.code != code {
			t.Fatal(r.code)
		}
	}
	v.head("GET")
	s := scene.Next(t, c.streams, "a stream")
	if string(s.Input) != "hello" {
		t.Errorf("%q", s.Input)
	}
	unix.Close(s.FD)
}

func TestTakenPlacesStayTaken(t *testing.T) {
	c, asked, let := held(t, func(o *web.Options) { o.Places = 2 })
	first, second := c.visit(local, health), c.visit(local, health)
	scene.Next(t, asked, "a question")
	scene.Next(t, asked, "a question")
	client, fd := c.pair()
	if c.Take(fd, local) {
		t.Fatal("there were but two places")
	}
	// fd is still ours, and a place that comes free is told of.
	close(let)
	third := &visitor{Conn: client, c: c, r: nil}
	third.send(health)
	c.take(fd, local)
	first.answer("GET")
	second.answer("GET")
}

// A connection that waits for its next request has its place only until
// somebody needs it; who has waited longest goes.
func TestLongestIdleMakesRoom(t *testing.T) {
	c := open(t, func(o *web.Options) { o.Places = 2 })
	first, second := c.visit(local, health), c.visit(local, health)
	first.answer("GET")
	second.answer("GET")
	scene.Until(t, "two are idle", func() bool { return c.Idle() == 2 })
	first.send(health)
	first.answer("GET")
	scene.Until(t, "two are idle again", func() bool { return c.Idle() == 2 })
	third := c.visit(local, health)
	third.answer("GET")
	second.ends()
	first.send(health)
	if r, _ := first.answer("GET"); r.code != 200 {
		t.Fatal(r.code)
	}
}

// However many come, each has its answer, and all places come free again.
func TestManyShareFewPlaces(t *testing.T) {
	c := open(t, func(o *web.Options) { o.Places = 3 })
	for range 100 {
		client, fd := c.pair()
		v := &visitor{Conn: client, c: c, r: nil}
		v.send(request("GET /healthz HTTP/1.0"))
		c.take(fd, local)
	}
	scene.Until(t, "places come free", func() bool { return c.Free()+c.Idle() == 3 })
}

// Each deadline alone: a short one of another kind could end a connection for
// no fault of its own.
func TestDeadlinesEndWhoKeepsAPlace(t *testing.T) {
	const limit = 10 * time.Millisecond
	for name, test := range map[string]struct {
		change  func(*web.Options)
		request string
	}{
		"no other request": {func(o *web.Options) { o.IdleTimeout = limit }, health},
		"half a header":    {func(o *web.Options) { o.HeaderTimeout = limit }, "GET /healthz HTTP/1.1\r\nHost: local"},
		"no body":          {func(o *web.Options) { o.LingerTimeout = limit }, request("GET /healthz HTTP/1.1", "Host: localhost", "Content-Length: 100")},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, test.change)
			c.visit(local, test.request).ends()
			scene.Until(t, "its place comes free", func() bool { return c.Free() == 256 })
		})
	}
}

// What cannot be waited for is closed, and that is said: a goroutine that
// blocks in it could not be ended.
func TestBlockingDescriptorIsNotServed(t *testing.T) {
	c := open(t, func(o *web.Options) { o.Places = 1 })
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.SetNonblock(ends[0], true)
	client := file(t, ends[0])
	if !c.Take(ends[1], local) {
		t.Fatal("there is no place")
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("%d, %v", n, err)
	}
	scene.Until(t, "its place comes free", func() bool { return c.Free() == 1 })
	if text := c.logs.text(); !strings.Contains(text, "cannot be served") {
		t.Fatalf("logged: %q", text)
	}
}

// Who keeps a connection busy without an end in sight loses his place to who
// has a request, and soon: places are few, and those who do so may be many.
func TestHoggedPlacesAreGivenToOthers(t *testing.T) {
	const each = 20
	for name, says := range map[string]string{
		"answers not taken":      strings.Repeat(request("GET /view.js HTTP/1.1", "Host: localhost"), 1000),
		"a body that is refused": request("GET / HTTP/1.1", "Host: localhost", "Content-Length: 100"),
		"a body not asked for":   request("OPTIONS / HTTP/1.1", "Host: localhost", "Content-Length: 100"),
		"a chunked body":         request("GET /healthz HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + "5\r\n",
		"a post that is refused": request("POST /nowhere HTTP/1.1", "Host: localhost", "Content-Length: 100"),
		"no HTTP":                "GET / HTTP/1.1\r\nHost\r\n\r\n",
		"a foreign host":         request("GET / HTTP/1.1", "Host: elsewhere.example"),
		"half a second request":  health + "GET / HTTP/1.1\r\nHo",
	} {
		t.Run(name, func(t *testing.T) {
			// Two hogs at a time keep it for a tenth of a second at most. If
			// only net/http's limits ended them, it were half one at least.
			// (On a busy machine not every try is quick.)
			const soon = 3 * time.Second
			quickest := time.Hour
			for tries := 0; quickest > soon && tries < 5; tries++ {
				quickest = min(quickest, answeredAmong(t, each, says))
			}
			if quickest > soon {
				t.Errorf("a request is answered after %v at best", quickest)
			}
		})
	}
}

// answeredAmong returns how long a request takes while so many say that.
func answeredAmong(t *testing.T, hogs int, says string) time.Duration {
	t.Helper()
	c := open(t, func(o *web.Options) { o.Places = 2 })
	for range hogs {
		client, fd := c.pair()
		hog := &visitor{Conn: client, c: c, r: nil}
		go func() { _, _ = io.WriteString(hog, says) }()
		c.take(fd, local)
	}
	began := time.Now()
	client, fd := c.pair()
	v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
	v.send(health)
	c.take(fd, local)
	if r, _ := v.answer("GET"); r.code != 200 {
		t.Fatal(r.code)
	}
	return time.Since(began)
}
