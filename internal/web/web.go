//go:build unix

// Package web answers the HTTP requests of a hub's connections. net/http does
// the work, with a goroutine for each connection that has a request; one that
// becomes a stream goes back as a bare descriptor, and no goroutine stays.
//
//	Take       a connection whose request has come           places.go
//	conn       the bare descriptor as net/http wants it      conn.go
//	answer     may it, what is it, who answers               answer.go
//	rules      what a web page may not do                    safe.go
//	ask        what the address and the headers ask for      ask.go
//	stream     and back it goes                              stream.go
//	post       messages from a body, which may go on for ever   post.go
//	lengths    which of two lengths a body has                  lengths.go
//	page       the page and its files                        page.go
//
// A connection is taken when its whole first request header waits in the
// socket, so that who sends slowly occupies no place here.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// longestHeader is a request's, in bytes; net/http gives it a quarter more.
const longestHeader = 16 << 10

// What Post may answer, so that the client hears it: other errors than these
// and the body's own are told as a server that has no room (503).
var (
	ErrTooLong    = errors.New("message too long")
	ErrIncomplete = errors.New("the body ends inside a message")
	ErrEnding     = errors.New("the server is shutting down")
)

// Refused is what Post may answer too: who posts is not to go on, and is told
// this (403).
type Refused string

func (r Refused) Error() string { return string(r) }

// Options say who answers what. Stream, Post, Clients and Health must be set;
// they are called by many goroutines.
type Options struct {
	Hosts   []string // names that Host may have, beside addresses and localhost; "*" any
	Origins []string // SCHEME://HOST[:PORT] of foreign pages that may come, and whose HOST is good as Host too; "*" any
	Places  int      // connections served at once; 0: 256

	TextType string // Content-Type of the plain stream; "": text/plain; charset=utf-8

	// Admit says whether p, which asks by r, may be a client of this kind, and
	// what it is called; "" leaves it the name that it asks for. An error is
	// told to it (403). nil admits everybody.
	Admit func(p Peer, k Kind, r *http.Request, name string) (string, error)
	// Full says why there is no room for another client; nil if there is.
	Full func() error
	// Begin says where a stream begins that asks for s, before it is answered:
	// what comes after the answer is the stream's. Stream gets it as s.Begin.
	Begin func(s Stream) any
	// Stream takes a stream's descriptor over, for good.
	Stream func(s Stream)
	// Post takes the messages of body until its end. It returns when ctx is
	// done, at the latest. Any goroutine may close body, so that to read it
	// fails.
	Post    func(ctx context.Context, p Peer, name string, body io.ReadCloser) error
	Clients func() any                       // marshalled as JSON
	Health  func() (report any, well bool)   // likewise
	Browser func(p Peer)                     // p, a browser, asks for something
	Room    func()                           // Take may succeed again; called by any goroutine, must not block
	Logf    func(format string, args ...any) // what somebody should look at
	Debugf  func(format string, args ...any) // what clients did wrong

	Timeouts
}

// Timeouts are how long a Server waits.
type Timeouts struct {
	HeaderTimeout time.Duration // for a further request's header once it has begun; 0: 10s
	IdleTimeout   time.Duration // between requests; 0: 60s
	AnswerTimeout time.Duration // for an answer to be taken; 0: 5s
	BodyTimeout   time.Duration // for a post's body to say something; 0: for ever
	LingerTimeout time.Duration // how long a refused body is still read; 0: 1s
	CloseTimeout  time.Duration // how long Close lets answers end by themselves; 0: 1s
}

// Peer is who is at the other end.
type Peer struct {
	Addr  string // for people
	Local bool   // of this machine: loopback, or a Unix socket
	Unix  bool   // a Unix socket
	Tag   any    // the caller's own
}

// Kind is the form of a stream.
type Kind uint8

const (
	Text      Kind = iota // as raw clients get it
	Events                // server-sent events
	WebSocket             // a frame a message
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
	Since   string // a resume point, or whatever Last-Event-ID said; "": not asked for
	Last    int    // messages to begin back; -1: not asked for
	Name    string
	Session string // V1 only
	Begin   any    // what Options.Begin said
	Input   []byte // what came behind the request
}

// Server serves connections that were accepted elsewhere. Any goroutine may
// call its methods.
type Server struct {
	o     Options
	rules rules
	http  http.Server
	queue queue
	ctx   context.Context // ends what is being served
	end   context.CancelFunc
	done  chan struct{} // the HTTP server has ended

	mu     sync.Mutex
	places places
}

// New begins to serve. The caller closes the server.
func New(o Options) *Server {
	o.fill()
	s := &Server{o: o, rules: makeRules(o.Hosts, o.Origins), done: make(chan struct{})}
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

// fill puts defaults where there is nothing.
func (o *Options) fill() {
	if o.Places == 0 {
		o.Places = 256
	}
	if o.TextType == "" {
		o.TextType = "text/plain; charset=utf-8"
	}
	if o.Full == nil {
		o.Full = func() error { return nil }
	}
	if o.Browser == nil {
		o.Browser = func(Peer) {}
	}
	if o.Begin == nil {
		o.Begin = func(Stream) any { return nil }
	}
	if o.Room == nil {
		o.Room = func() {}
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	if o.Debugf == nil {
		o.Debugf = func(string, ...any) {}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.HeaderTimeout, 10 * time.Second},
		{&o.IdleTimeout, time.Minute},
		{&o.AnswerTimeout, 5 * time.Second},
		{&o.LingerTimeout, time.Second},
		{&o.CloseTimeout, time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
}

// complaints is where net/http says what it does not like of a client.
type complaints func(format string, args ...any)

func (c complaints) Write(p []byte) (int, error) {
	c("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// Close ends all that is being served. What is being answered has CloseTimeout
// to end by itself, and posts are told that the server ends; then connections
// are closed. The error says that the caller's own functions did not return.
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

// still is what Close says of handlers that do not end.
func still(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("web: %d requests are still running", n)
}
