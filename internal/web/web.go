//go:build unix

// Package web answers the HTTP requests of a hub's connections. It uses net/http,
// with a goroutine per connection that has a request. A connection that becomes a
// stream goes back as a bare descriptor, without a goroutine.
//
//	Take       takes a connection whose request has arrived  places.go
//	conn       the bare descriptor as net/http wants it      conn.go
//	answer     checks and routes a request                   answer.go
//	negotiate  what the headers and the URL ask for          negotiate.go
//	origin     which web pages may connect                   origin.go
//	stream     hands a connection back as a stream           stream.go
//	post       messages from a body, which may be endless    post.go
//	lengths    detects a body with two lengths               lengths.go
//	page       the page and its files                        page.go
//
// A connection is taken when its whole first request header is in the socket, so a
// slow sender occupies no place.
package web

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longestHeader is the limit of a request header in bytes; net/http allows a
// quarter more.
const longestHeader = 16 << 10

// The errors that Post may return to be sent to the client. Any other error,
// except the body's own, is answered as a full server (503).
var (
	ErrTooLong    = errors.New("message too long")
	ErrIncomplete = errors.New("the body ends inside a message")
	ErrEnding     = errors.New("the server is shutting down")
)

// Refused is another error for Post: the client must not go on, and gets the
// reason (403).
type Refused string

func (r Refused) Error() string { return string(r) }

// Options configure a server. All functions except Admit must be set; many goroutines
// call them.
type Options struct {
	Hosts   []string // names that Host may have, beside addresses and localhost; "*" any
	Origins []string // SCHEME://HOST[:PORT] of other sites' pages that may connect; HOST is then allowed as Host too; "*" any
	Places  int      // connections served at once; 0: 256

	TextType string // Content-Type of the plain stream; "": text/plain; charset=utf-8

	// Admit decides whether p, which sent r, may be a client of this kind, and
	// names it; "" keeps the name that it asks for. The client gets an error
	// (403). nil admits everyone.
	Admit func(p Peer, k Kind, r *http.Request, name string) (string, error)
	// Full returns why no further client can join; nil if one can.
	Full func() error
	// Begin returns where stream s begins, before the answer: whatever is
	// broadcast after the answer belongs to the stream. Stream gets it as s.Begin.
	Begin func(s Stream) any
	// Stream takes over a stream's descriptor.
	Stream func(s Stream)
	// Post reads the messages of body until its end. It must return when ctx is
	// done. Any goroutine may close body to make reads fail.
	Post    func(ctx context.Context, p Peer, name string, body io.ReadCloser) error
	Clients func() any                       // marshalled as JSON
	Health  func() (report any, well bool)   // likewise
	Browser func(p Peer)                     // p, a browser, sent a request
	Room    func()                           // Take may succeed again; called by any goroutine, must not block
	Logf    func(format string, args ...any) // logs what an operator should look at
	Debugf  func(format string, args ...any) // logs the mistakes of clients

	Timeouts
}

// Timeouts are how long a Server waits.
type Timeouts struct {
	HeaderTimeout time.Duration // for a further request's header once it has begun; 0: 10s
	IdleTimeout   time.Duration // between requests; 0: 60s
	AnswerTimeout time.Duration // for an answer to be taken; 0: 5s
	BodyTimeout   time.Duration // for the next bytes of a post's body; 0: none
	LingerTimeout time.Duration // how long a refused body is still read; 0: 1s
	CloseTimeout  time.Duration // how long Close waits for answers; 0: 1s
}

// Peer is the client of a connection.
type Peer struct {
	Addr  string // for display
	Local bool   // of this machine: loopback, or a Unix socket
	Unix  bool   // a Unix socket
	Tag   any    // the caller's own
}

// Kind is the kind of a stream.
type Kind uint8

const (
	Text      Kind = iota // the bytes that raw clients get
	Events                // server-sent events
	WebSocket             // a frame per message
	V1                    // hubbub.v1
	Post                  // no stream: messages in a body
)

// Stream is a connection that has become a stream: its request is answered,
// and all that follows is the caller's.
type Stream struct {
	FD      int // nonblocking, and the caller's
	Peer    Peer
	First   bool // it is its connection's first request
	Kind    Kind
	Since   string // a resume point, or any Last-Event-ID; "": not asked for
	Last    int    // how many messages back to begin; -1: not asked for
	Name    string
	Session string // V1 only
	Begin   any    // the result of Options.Begin
	Input   []byte // the bytes after the request
}

// Server serves connections that were accepted elsewhere. Any goroutine may
// call its methods.
type Server struct {
	o     Options
	pages originPolicy
	http  http.Server
	queue queue
	ctx   context.Context // ends what is being served
	end   context.CancelFunc
	done  chan struct{} // the HTTP server has ended

	mu     sync.Mutex
	places places
}

// New starts a server. The caller closes it.
func New(o Options) *Server {
	o.fill()
	s := &Server{o: o, pages: newOriginPolicy(o.Hosts, o.Origins), done: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.queue = queue{conns: make(chan *conn, o.Places), closed: s.ctx.Done()}
	s.places.start(o.Places)
	s.http = http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            o.HeaderTimeout,
		IdleTimeout:                  o.IdleTimeout,
		WriteTimeout:                 o.AnswerTimeout,
		MaxHeaderBytes:               longestHeader,
		ConnState:                    s.changed,
		ConnContext:                  rememberConn,
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		ErrorLog:                     log.New(complaints(o.Debugf), "", 0),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(&s.queue)
	}()
	return s
}

// fill sets the defaults of zero fields.
func (o *Options) fill() {
	o.Places = cmp.Or(o.Places, 256)
	o.TextType = cmp.Or(o.TextType, "text/plain; charset=utf-8")
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 5*time.Second)
	o.LingerTimeout = cmp.Or(o.LingerTimeout, time.Second)
	o.CloseTimeout = cmp.Or(o.CloseTimeout, time.Second)
}

// complaints is the error log of net/http.
type complaints func(format string, args ...any)

func (c complaints) Write(p []byte) (int, error) {
	c("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Close ends all requests. Answers in progress have CloseTimeout to finish, and
// posts get the answer that the server is closing. Then it closes all
// connections. It returns an error if a function of the caller did not return.
func (s *Server) Close() error {
	s.mu.Lock()
	s.places.close()
	s.mu.Unlock()
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), s.o.CloseTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
	s.queue.clear()
	return s.waitForAll(s.o.CloseTimeout)
}
