// Package wsconn is a client's end of a WebSocket (RFC 6455), on a connection
// that is there already: text messages, both ways.
//
//	Open      asks the server for it, on a bare connection
//	Receive   what the server says; pings are answered in between
//	Send      what we say
//	Close     that we say nothing more
//
// It closes no connection and sets no deadlines, but one for the answer to the
// server's goodbye: both are its owner's to do. A connection that is closed,
// or whose deadline is past, ends every call.
//
// How a server ends it is an error with its own type: proto.Closed if it sent a
// close frame, proto.Breach if it broke the protocol, io.EOF if the connection
// just ended. How it does not even begin: Refused if it answered with another
// status of HTTP, Garbled if as HTTP in some other way, anything else if this
// is no HTTP at all.
package wsconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"hubbub.example/internal/proto"
)

// Conn is a WebSocket. One goroutine at a time receives; any may send.
type Conn struct {
	conn net.Conn

	// Receiving.
	r       *bufio.Reader
	head    [ws.MaxHeaderSize]byte
	message []byte
	limit   int64

	// Pongs. One that waits to be sent is replaced by the next.
	ping    atomic.Pointer[[]byte]
	ponging atomic.Bool

	mu   sync.Mutex // guards the rest
	out  bytes.Buffer
	said bool // the last word: a close frame, or one that broke off
}

const (
	blockSize = 64 << 10

	// keptSize is how large a buffer may stay between messages.
	keptSize = 1 << 20

	// limitAtFirst is the longest message before Limit says otherwise.
	limitAtFirst = 64 << 10

	// byeTime is how long the last close frame may take to be sent.
	byeTime = time.Second
)

// Open asks for a WebSocket with this subprotocol. Target is path and query.
func Open(conn net.Conn, host, target, protocol string) (*Conn, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	a := &asking{Conn: conn}
	d := ws.Dialer{Host: host, Protocols: []string{protocol}}
	early, hs, err := d.Upgrade(a, u)
	if err != nil {
		return nil, a.failure(err)
	}
	var r io.Reader = conn
	if early != nil {
		first, _ := early.Peek(early.Buffered())
		r = io.MultiReader(bytes.NewReader(bytes.Clone(first)), conn)
		ws.PutReader(early)
	}
	if hs.Protocol != protocol {
		return nil, &Garbled{fmt.Errorf("the server speaks WebSocket, but not %s", protocol)}
	}
	return &Conn{conn: conn, r: bufio.NewReaderSize(r, blockSize), limit: limitAtFirst}, nil
}

// asking is a connection whose answer must be HTTP: what cannot become that
// ends the wait for it at once, be it only a prompt without a newline.
type asking struct {
	net.Conn
	answer bytes.Buffer // as far as it has come
}

const (
	answerStart   = "HTTP/1."
	longestAnswer = 64 << 10
)

var errNotHTTP = errors.New("the server does not speak HTTP")

func (a *asking) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	a.answer.Write(p[:n])
	begun := a.answer.Bytes()
	switch {
	case !bytes.HasPrefix(begun, []byte(answerStart)[:min(len(begun), len(answerStart))]):
		return 0, errNotHTTP
	case len(begun) > longestAnswer:
		return 0, fmt.Errorf("an answer of more than %d bytes", longestAnswer)
	}
	return n, err
}

// failure is what came instead of a WebSocket. The answer is read once more:
// package ws does not tell the status of HTTP/1.0.
func (a *asking) failure(why error) error {
	if a.answer.Len() < len(answerStart) || errors.Is(why, errNotHTTP) {
		return why
	}
	all := io.LimitReader(io.MultiReader(&a.answer, a.Conn), 2*longestAnswer)
	r, err := http.ReadResponse(bufio.NewReader(all), nil)
	if err != nil || r.StatusCode == http.StatusSwitchingProtocols {
		return &Garbled{unexpected(why)}
	}
	defer r.Body.Close()
	return &Refused{r.StatusCode, words(r)}
}

// Refused is an answer of HTTP that opens no WebSocket.
type Refused struct {
	Code  int
	Words string // the server's
}

func (r *Refused) Error() string {
	if r.Code < http.StatusBadRequest {
		return fmt.Sprintf("the server did not open a WebSocket: %d %s", r.Code, r.Words)
	}
	return fmt.Sprintf("the server refused: %d %s", r.Code, r.Words)
}

// Status is HTTP's.
func (r *Refused) Status() int { return r.Code }

// words are the first line of a refusal that is plain text, else what the
// status means.
func words(r *http.Response) string {
	if r.StatusCode >= http.StatusBadRequest && strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 500)) // what there is
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return http.StatusText(r.StatusCode)
}

// Garbled is an answer that begins as HTTP does, and opens no WebSocket for us,
// but says no other status either.
type Garbled struct{ Err error }

func (g *Garbled) Error() string { return fmt.Sprintf("malformed HTTP response: %v", g.Err) }
func (g *Garbled) Unwrap() error { return g.Err }

// Status says that HTTP has none for it.
func (g *Garbled) Status() int { return 0 }

// Limit says how long a message may be from now on. It is the receiver's to
// call.
func (c *Conn) Limit(size int64) { c.limit = size }

// Receive returns the next message, which is good until the next call. It is
// valid UTF-8.
func (c *Conn) Receive() ([]byte, error) {
	if cap(c.message) > keptSize {
		c.message = nil
	}
	c.message = c.message[:0]
	for state := ws.StateClientSide; ; {
		h, err := ws.ReadHeaderBuffer(c.r, c.head[:])
		if err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected {
			return nil, c.breach(proto.Breachf(proto.CloseProtocolError, "%v", err))
		}
		if err != nil {
			return nil, within(state, err)
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return nil, c.breach(proto.Breachf(proto.CloseProtocolError, "%v", err))
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return nil, within(state, err)
			}
			continue
		}
		if err := c.piece(h); err != nil {
			return nil, err
		}
		if h.Fin {
			break
		}
		state = state.Set(ws.StateFragmented)
	}
	if !utf8.Valid(c.message) {
		return nil, c.breach(proto.Breachf(proto.CloseInvalidPayload, "a text that is not UTF-8"))
	}
	return c.message, nil
}

// within is err inside a message, where an end is no good end.
func within(state ws.State, err error) error {
	if err == io.EOF && state.Fragmented() {
		return io.ErrUnexpectedEOF
	}
	return err
}

// piece reads one frame of a message. What the header promises gets memory
// only as it comes.
func (c *Conn) piece(h ws.Header) error {
	if h.OpCode == ws.OpBinary {
		return c.breach(proto.Breachf(proto.CloseUnsupportedData, "a binary message"))
	}
	if h.Length > c.limit-int64(len(c.message)) {
		return c.breach(proto.Breachf(proto.CloseTooBig, "a message of more than %d bytes", c.limit))
	}
	for left := h.Length; left > 0; {
		at, step := len(c.message), int(min(left, blockSize))
		c.message = slices.Grow(c.message, step)[:at+step]
		if _, err := io.ReadFull(c.r, c.message[at:]); err != nil {
			return unexpected(err)
		}
		left -= int64(step)
	}
	return nil
}

// unexpected is err where more must come.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// control handles a control frame, which may stand between the pieces of a
// message.
func (c *Conn) control(h ws.Header) error {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return unexpected(err)
	}
	switch h.OpCode {
	case ws.OpPing:
		c.pong(payload)
	case ws.OpClose:
		return c.closed(payload)
	}
	return nil
}

// pong has a ping answered. By somebody else: a server that does not read must
// not keep us from reading.
func (c *Conn) pong(payload []byte) {
	c.ping.Store(&payload)
	if !c.ponging.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for {
			for p := c.ping.Swap(nil); p != nil; p = c.ping.Swap(nil) {
				if c.send(ws.OpPong, *p, false) != nil {
					return // and nobody is any more
				}
			}
			c.ponging.Store(false)
			if c.ping.Load() == nil || !c.ponging.CompareAndSwap(false, true) {
				return
			}
		}
	}()
}

// closed reads the server's goodbye and returns it, unless we have said ours
// or cannot at once.
func (c *Conn) closed(payload []byte) error {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 0 {
		code = ws.StatusNoStatusRcvd
		c.bye(nil)
	} else if !proto.CloseCode(code).Sendable() {
		return c.breach(proto.Breachf(proto.CloseProtocolError, "close code %d", code))
	} else if !utf8.ValidString(reason) {
		return c.breach(proto.Breachf(proto.CloseInvalidPayload, "close reason is not UTF-8"))
	} else {
		c.bye(ws.NewCloseFrameBody(code, ""))
	}
	return &proto.Closed{Code: proto.CloseCode(code), Reason: reason}
}

// breach tells the server what it did.
func (c *Conn) breach(b *proto.Breach) error {
	c.bye(ws.NewCloseFrameBody(ws.StatusCode(b.Code), ""))
	return b
}

// bye sends a last close frame, unless someone is sending something: nobody
// waits for it.
func (c *Conn) bye(body []byte) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		_ = c.conn.SetWriteDeadline(time.Now().Add(byeTime))
		_ = c.frame(ws.OpClose, body, false)
	}
}

// Send sends a message. If more follow at once, it may wait for them.
func (c *Conn) Send(message []byte, more bool) error {
	return c.send(ws.OpText, message, more)
}

// Close says that we say nothing more. The server answers with the same, which
// Receive returns as proto.Closed.
func (c *Conn) Close(code proto.CloseCode, reason string) error {
	return c.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason), false)
}

func (c *Conn) send(op ws.OpCode, payload []byte, more bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frame(op, payload, more)
}

// frame appends a frame to what is to be sent, and sends it.
func (c *Conn) frame(op ws.OpCode, payload []byte, more bool) error {
	if c.said {
		return net.ErrClosed
	}
	c.said = op == ws.OpClose
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	_ = ws.WriteHeader(&c.out, h) // a Buffer takes all
	at := c.out.Len()
	c.out.Write(payload)
	ws.Cipher(c.out.Bytes()[at:], h.Mask, 0)
	if more && c.out.Len() < blockSize {
		return nil
	}
	_, err := c.conn.Write(c.out.Bytes())
	if err != nil {
		c.said = true // whatever followed would stand inside a frame
	}
	c.out.Reset()
	if c.out.Cap() > keptSize {
		c.out = bytes.Buffer{}
	}
	return err
}
