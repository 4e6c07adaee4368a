//go:build unix

package web_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

// lines returns a Post that hands each line on as it comes, and takes none longer
// than 100 bytes.
func lines(to chan<- string) func(context.Context, web.Peer, string, io.ReadCloser) error {
	return func(_ context.Context, _ web.Peer, _ string, body io.ReadCloser) error {
		r := bufio.NewReaderSize(body, 100)
		for {
			line, err := r.ReadSlice('\n')
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				return fmt.Errorf("%w: more than 100 bytes", web.ErrTooLong)
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			}
			to <- string(line)
		}
	}
}

func TestPostIsTaken(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, request("POST /?name=ann HTTP/1.1", "Host: localhost", "Content-Length: 6")+"hello\n")
	for range 10 {
		if r, body := v.answer("POST"); r.code != 204 || r.Close || body != "" {
			t.Fatalf("%+v", r)
		}
		if post := scene.Next(t, c.posts, "a post"); post != "ann:hello\n" {
			t.Fatalf("%q", post)
		}
		v.send(request("POST /?name=ann HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + "2\r\nhe\r\n4\r\nllo\n\r\n0\r\n\r\n")
	}
	v.answer("POST")
	v.send(request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 0"))
	if r, _ := v.answer("POST"); r.code != 204 {
		t.Fatal(r.code)
	}
}

// A body may go on for ever. Its messages come as they are sent, and it takes
// nobody's place.
func TestEndlessPostTakesNobodysPlace(t *testing.T) {
	came := make(chan string, 10)
	c := open(t, func(o *web.Options) { o.Places, o.Post = 1, lines(came) })
	var posts []*visitor
	for i := range 5 {
		client, fd := c.pair()
		v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
		v.send(request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + "6\r\nhello\n\r\n")
		c.take(fd, local)
		if line := scene.Next(t, came, "a line"); line != "hello\n" {
			t.Fatalf("%d: %q", i, line)
		}
		posts = append(posts, v)
	}
	if r, _ := c.ask(local, health); r.code != 200 {
		t.Fatal(r.code)
	}
	for _, v := range posts {
		v.send("4\r\nbye\n\r\n0\r\n\r\n")
		if line := scene.Next(t, came, "a line"); line != "bye\n" {
			t.Fatalf("%q", line)
		}
		if r, _ := v.answer("POST"); r.code != 204 {
			t.Fatal(r.code)
		}
	}
}

// A post that has ended and finds all places taken is the last on its
// connection.
func TestPostThatFindsNoPlaceIsTheLast(t *testing.T) {
	came := make(chan string, 10)
	c, asked, let := held(t, func(o *web.Options) { o.Places, o.Post = 1, lines(came) })
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 12")+"hello\n")
	scene.Next(t, came, "a line")
	client, fd := c.pair()
	busy := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
	busy.send(health)
	c.take(fd, local)
	scene.Next(t, asked, "a question")
	v.send("again\n")
	if r, _ := v.answer("POST"); r.code != 204 || !r.Close {
		t.Fatalf("%+v", r)
	}
	v.ends()
	close(let)
	busy.answer("GET")
}

// Who sends all first and reads then gets the answer all the same.
func TestTooLongIsToldToWhoOnlySends(t *testing.T) {
	came := make(chan string, 10)
	c := open(t, func(o *web.Options) { o.Post = lines(came) })
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 8000000"))
	v.send(strings.Repeat("x", 8000000))
	r, body := v.answer("POST")
	if r.code != 413 || !r.Close || body != "message too long: more than 100 bytes\n" {
		t.Fatalf("%d %q", r.code, body)
	}
	v.ends()
}

// And who sends on and on is not listened to for ever.
func TestRefusedPostEnds(t *testing.T) {
	came := make(chan string, 10)
	c := open(t, func(o *web.Options) { o.Post, o.LingerTimeout = lines(came), 1 })
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"))
	chunk := "80\r\n" + strings.Repeat("x", 128) + "\r\n"
	var err error
	for err == nil {
		_, err = io.WriteString(v, chunk)
	}
	if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
		t.Fatal(err)
	}
}

// curl asks before it sends a big body.
func TestBodyIsAskedFor(t *testing.T) {
	c := open(t, nil)
	v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 6", "Expect: 100-continue"))
	if r := v.head("POST"); r.code != 100 {
		t.Fatal(r.code)
	}
	v.send("hello\n")
	if r, _ := v.answer("POST"); r.code != 204 {
		t.Fatal(r.code)
	}
	if post := scene.Next(t, c.posts, "a post"); post != ":hello\n" {
		t.Fatalf("%q", post)
	}
	too := open(t, func(o *web.Options) { o.Post = lines(make(chan string)) })
	v = too.visit(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 8000000", "Expect: 100-continue"))
	v.head("POST")
	v.send(strings.Repeat("x", 8000000))
	if r, _ := v.answer("POST"); r.code != 413 {
		t.Fatal(r.code)
	}
}

func TestBodyThatBreaksOffIsSaid(t *testing.T) {
	c := open(t, nil)
	for _, req := range []string{
		request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 100") + "hello\n",
		request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + "6\r\nhello\n\r\n5\r\nhel",
		request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked") + "6\r\nhello\n\r\nnonsense\r\n",
	} {
		v := c.visit(local, req)
		v.Conn.(*net.TCPConn).CloseWrite()
		if r, body := v.answer("POST"); r.code != 400 || !strings.HasPrefix(body, "incomplete body") {
			t.Errorf("%q: %d %q", req, r.code, body)
		}
		if post := scene.Next(t, c.posts, "a post"); post != ":hello\n" && !strings.HasSuffix(post, "hel") {
			t.Errorf("%q", post)
		}
	}
}

func TestPostThatIsNotTakenIsToldWhy(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		body string
	}{
		{web.ErrTooLong, 413, "message too long\n"},
		{fmt.Errorf("%w: 2 MiB", web.ErrTooLong), 413, "message too long: 2 MiB\n"},
		{web.ErrEnding, 503, "the server is shutting down\n"},
		{errors.New("no room"), 503, "no room\n"},
	} {
		c := open(t, func(o *web.Options) {
			o.Post = func(context.Context, web.Peer, string, io.ReadCloser) error { return test.err }
		})
		for _, length := range []int{0, 6, 300000} {
			v := c.visit(local, request("POST / HTTP/1.1", "Host: localhost", fmt.Sprintf("Content-Length: %d", length))+string(bytes.Repeat([]byte("x"), length)))
			if r, body := v.answer("POST"); r.code != test.code || body != test.body {
				t.Errorf("%v: %d %q", test.err, r.code, body)
			}
		}
	}
}

func TestEncodedBodyIsNotTakenForMessages(t *testing.T) {
	c := open(t, nil)
	r, _ := c.ask(local, request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 3", "Content-Encoding: gzip")+"abc")
	if r.code != 415 || len(c.posts) > 0 {
		t.Fatal(r.code)
	}
}

// A body whose length two headers say, of which a proxy may have believed the
// other one, is its connection's last (RFC 9112, section 6.3): nothing that
// follows is taken for a request.
func TestABodyOfTwoLengthsIsTheLast(t *testing.T) {
	const (
		length  = "Content-Length: 6"
		chunked = "Transfer-Encoding: chunked"
		chunks  = "6\r\nhello\n\r\n0\r\n\r\n"
		another = "POST /?name=smuggled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
	)
	post := func(headers ...string) string {
		return request("POST / HTTP/1.1", append(headers, "Host: localhost")...)
	}
	for _, test := range []struct {
		before []string // requests that the connection has already had
		last   string
		closes bool
	}{
		{nil, post(length) + "hello\n", false},
		{nil, post(chunked) + chunks, false},
		{nil, post(length, chunked) + chunks, true},
		{nil, post(chunked, length) + chunks, true},
		{nil, post(chunked, "content-LENGTH:999999") + chunks, true},
		{nil, post(chunked, "Content-Length: 6", "Content-Length: 6") + chunks, true},
		{nil, post(chunked, "X-"+length, "X: "+length) + chunks, false},
		{[]string{post(length) + "hello\n", post(chunked) + chunks}, post(chunked) + chunks, false},
		{[]string{post(length) + "hello\n", post(chunked) + chunks}, post(length, chunked) + chunks, true},
	} {
		for _, atOnce := range []bool{true, false} {
			c := open(t, nil)
			client, fd := c.pair()
			v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
			go c.takeWhenAsked(fd)
			for _, req := range test.before {
				v.send(req)
				if r, _ := v.answer("POST"); r.code != 204 || r.Close {
					t.Fatalf("%q: %+v", req, r)
				}
				scene.Next(t, c.posts, "a post")
			}
			if atOnce {
				v.send(test.last)
			} else {
				for i := range test.last { // however it is cut
					v.send(test.last[i : i+1])
				}
			}
			r, _ := v.answer("POST")
			if r.code != 204 || r.Close != test.closes {
				t.Fatalf("%q behind %q: %d, closes: %v, want %v", test.last, test.before, r.code, r.Close, test.closes)
			}
			scene.Next(t, c.posts, "a post")
			if test.closes {
				_, _ = io.WriteString(v, another)
				v.ends()
			}
			if len(c.posts) > 0 {
				t.Errorf("%q is followed by %q", test.last, <-c.posts)
			}
		}
	}
}

// HTTP/1.0 has no chunks: who sends some all the same is not told that they
// were taken, and they are not taken for requests.
func TestHTTP10HasNoChunks(t *testing.T) {
	c := open(t, nil)
	const chunks = "6\r\nhello\n\r\n0\r\n\r\n"
	v := c.visit(local, request("POST / HTTP/1.0", "Host: localhost", "Connection: keep-alive", "Transfer-Encoding: chunked")+chunks)
	if r, body := v.answer("POST"); r.code != 411 || !r.Close || !strings.Contains(body, "Content-Length") {
		t.Errorf("%+v %q", r, body)
	}
	v.ends()
	v = c.visit(local, request("POST / HTTP/1.0", "Host: localhost", "Connection: keep-alive", "Transfer-Encoding: chunked", "Content-Length: 6")+"hello\n"+chunks)
	if r, _ := v.answer("POST"); r.code != 204 || !r.Close || scene.Next(t, c.posts, "a post") != ":hello\n" {
		t.Errorf("%+v", r)
	}
	v.ends()
}
