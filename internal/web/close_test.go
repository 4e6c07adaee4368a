//go:build unix

package web_test

import (
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

// A post whose body goes on is told that the server shuts down.
func TestCloseEndsPosts(t *testing.T) {
	before := runtime.NumGoroutine()
	came := make(chan string, 10)
	c := open(t, func(o *web.Options) { o.Post, o.LingerTimeout = lines(came), 1 })
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")+"6\r\nhello\n\r\n")
	scene.Next(t, came, "a line")
	idle := c.visit(local, health)
	idle.answer("GET")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if r, body := v.answer("POST"); r.code != 503 || body != "the server is shutting down\n" {
		t.Fatalf("%d %q", r.code, body)
	}
	idle.ends()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	_, fd := c.pair()
	defer unix.Close(fd)
	if c.Take(fd, local) {
		t.Fatal("taken after Close")
	}
	scene.Until(t, "no goroutine stays", func() bool { return runtime.NumGoroutine() <= before })
}

// A Post that waits for something else than its body has its context.
func TestCloseEndsPostsThatWait(t *testing.T) {
	waits := make(chan struct{})
	c := open(t, func(o *web.Options) {
		o.Post = func(ctx context.Context, _ web.Peer, _ string, _ io.ReadCloser) error {
			close(waits)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 6")+"hello\n")
	scene.Next(t, waits, "a request that waits")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if r, _ := v.answer("POST"); r.code != 503 {
		t.Fatal(r.code)
	}
}

// Whatever does not end is said, and does not keep Close.
func TestCloseWaitsForNobody(t *testing.T) {
	c, asked, let := held(t, func(o *web.Options) { o.CloseTimeout = 10 * time.Millisecond })
	v := c.visit(local, health)
	scene.Next(t, asked, "a question")
	began := time.Now()
	if err := c.Close(); err == nil || time.Since(began) > scene.LongEnough/2 {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
	v.ends()
	close(let)
	scene.Until(t, "it ends", func() bool { return c.Close() == nil })
}

// Connections that come while it closes are closed, or stay the caller's.
func TestCloseWhileConnectionsCome(t *testing.T) {
	c := open(t, nil)
	ended := make(chan error, 1)
	for i := range 50 {
		v, fd := c.pair()
		io.WriteString(v, health)
		if !c.Take(fd, local) {
			unix.Close(fd)
		}
		if i == 10 {
			go func() { ended <- c.Close() }()
		}
	}
	if err := scene.Next(t, ended, "the end"); err != nil {
		t.Fatal(err)
	}
}
