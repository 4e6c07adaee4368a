//go:build unix

package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/web"
)

// stage is a server whose connections come from a listener, as a loop would
// hand them over, and what came of them.
type stage struct {
	*testing.T
	*web.Server
	ln      net.Listener
	o       web.Options
	streams chan web.Stream
	posts   chan string // what a post said, and its name
	rooms   chan struct{}
	logs    *logbook
}

type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) logf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logbook) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// open makes a scene; what change sets is as it wants it.
func open(t *testing.T, change func(*web.Options)) *stage {
	t.Helper()
	c := &stage{T: t, streams: make(chan web.Stream, 1000), posts: make(chan string, 1000), rooms: make(chan struct{}, 100), logs: &logbook{}}
	c.o = web.Options{
		Stream: func(s web.Stream) { c.streams <- s },
		Post: func(_ context.Context, _ web.Peer, name string, body io.ReadCloser) error {
			said, err := io.ReadAll(body)
			c.posts <- name + ":" + string(said)
			return err
		},
		Full:    func() error { return nil },
		Begin:   func(web.Stream) any { return nil },
		Browser: func(web.Peer) {},
		Debugf:  func(string, ...any) {},
		Clients: func() any { return map[string]int{"clients": 0} },
		Health:  func() (any, bool) { return map[string]string{"status": "ok"}, true },
		Room: func() {
			select {
			case c.rooms <- struct{}{}:
			default:
			}
		},
		Logf: c.logs.logf,
		// A busy machine is no reason to cut anything short.
		Timeouts: web.Timeouts{LingerTimeout: scene.LongEnough, CloseTimeout: scene.LongEnough},
	}
	if change != nil {
		change(&c.o)
	}
	c.Server = web.New(c.o)
	var err error
	if c.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.ln.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for len(c.streams) > 0 {
			unix.Close((<-c.streams).FD)
		}
	})
	return c
}

// local is a peer as most are.
var local = web.Peer{Addr: "127.0.0.1:1", Local: true, Tag: 42}

// pair returns a client's end of a connection, and the descriptor of the other.
func (c *stage) pair() (net.Conn, int) {
	c.Helper()
	client, err := net.Dial("tcp", c.ln.Addr().String())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { client.Close() })
	server, err := c.ln.Accept()
	if err != nil {
		c.Fatal(err)
	}
	defer server.Close()
	raw, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.Fatal(err)
	}
	fd := -1
	raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		c.Fatal(os.NewSyscallError("fcntl", err))
	}
	client.SetDeadline(time.Now().Add(scene.LongEnough))
	return client, fd
}

// visitor is a client whose connection is served.
type visitor struct {
	net.Conn
	c *stage
	r *bufio.Reader
}

// visit returns a new client, that has sent request.
func (c *stage) visit(p web.Peer, request string) *visitor {
	c.Helper()
	client, fd := c.pair()
	v := &visitor{Conn: client, c: c, r: bufio.NewReader(client)}
	v.send(request)
	if !c.Take(fd, p) {
		c.Fatal("there is no place")
	}
	return v
}

func (v *visitor) send(s string) {
	v.c.Helper()
	if _, err := io.WriteString(v, s); err != nil {
		v.c.Fatal(err)
	}
}

// reply is an answer.
type reply struct {
	*http.Response

	code int
}

// head reads the head of an answer to a request made with method.
func (v *visitor) head(method string) reply {
	v.c.Helper()
	r, err := http.ReadResponse(v.r, &http.Request{Method: method})
	if err != nil {
		v.c.Fatal(err)
	}
	return reply{r, r.StatusCode}
}

// answer reads a whole answer.
func (v *visitor) answer(method string) (reply, string) {
	v.c.Helper()
	r := v.head(method)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		v.c.Fatal(err)
	}
	return r, string(body)
}

// ends reads until the connection does.
func (v *visitor) ends() {
	v.c.Helper()
	if _, err := io.Copy(io.Discard, v.r); err != nil && strings.Contains(err.Error(), "timeout") {
		v.c.Fatal("the connection does not end")
	}
}

// request is first and the lines of a header.
func request(first string, lines ...string) string {
	return first + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// ask returns one request on a connection of its own, and its answer: of a stream
// only the head, and its descriptor is closed.
func (c *stage) ask(p web.Peer, req string) (reply, string) {
	c.Helper()
	v := c.visit(p, req)
	method, _, _ := strings.Cut(req, " ")
	r := v.head(method)
	if method == "GET" && (r.code == 200 && r.ContentLength < 0 || r.code == 101) {
		unix.Close(scene.Next(c.T, c.streams, "a stream").FD)
		return r, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Fatal(err)
	}
	return r, string(body)
}

// take serves fd as soon as there is a place.
func (c *stage) take(fd int, p web.Peer) {
	c.Helper()
	for !c.Take(fd, p) {
		scene.Next(c.T, c.rooms, "a free place")
	}
}
