// Package wsconn is the client side of a WebSocket (RFC 6455) over an existing
// connection. It sends and receives text messages.
//
//	Open      does the opening handshake
//	Receive   returns the next message; it answers pings
//	Send      sends a message
//	Close     sends a close frame
//
// It does not close the connection, and sets no deadline except one for the answer
// to the server's close frame: both are up to the owner. Every call returns when
// the connection is closed or its deadline passes.
//
// The type of an error tells how the WebSocket ended: proto.Closed if the server
// sent a close frame, proto.Breach if it broke the protocol, io.EOF if the
// connection closed. Open returns Refused for another HTTP status, Garbled for a
// malformed HTTP answer, and another error if the answer is not HTTP.
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

	// Pongs. The next one replaces one that is not sent yet.
	ping    atomic.Pointer[[]byte]
	ponging atomic.Bool

	mu   sync.Mutex // guards the rest
	out  bytes.Buffer
	said bool // a close frame was sent, or a frame broke off
}

const (
	blockSize = 64 << 10

	// keptSize is the largest buffer kept between messages.
	keptSize = 1 << 20

	// limitAtFirst is the longest message before Limit is called.
	limitAtFirst = 64 << 10

	// byeTime is how long the last close frame may take to be sent.
	byeTime = time.Second
)

// Open opens a WebSocket with this subprotocol. target is path and query.
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

// asking is a connection whose answer must be HTTP. An answer that cannot be HTTP
// fails at once, even a prompt without a newline.
type asking struct {
	net.Conn
	answer bytes.Buffer // what has arrived
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

// failure returns the error for an answer that opens no WebSocket. It parses the answer
// again: package ws does not report the status of HTTP/1.0.
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

// Refused is an HTTP answer that opens no WebSocket.
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

// Status returns the HTTP status.
func (r *Refused) Status() int { return r.Code }

// words returns the first line of a plain text refusal, else the text of the
// status.
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

// Garbled is an answer that begins like HTTP and neither opens a WebSocket nor has
// another status.
type Garbled struct{ Err error }

func (g *Garbled) Error() string { return fmt.Sprintf("malformed HTTP response: %v", g.Err) }
func (g *Garbled) Unwrap() error { return g.Err }

// Status is 0: there is no HTTP status for it.
func (g *Garbled) Status() int { return 0 }

// Limit sets the longest message from now on. Only the receiver may call it.
func (c *Conn) Limit(size int64) { c.limit = size }

// Receive returns the next message, valid until the next call. It is UTF-8.
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

// within is err inside a message, where io.EOF becomes io.ErrUnexpectedEOF.
func within(state ws.State, err error) error {
	if err == io.EOF && state.Fragmented() {
		return io.ErrUnexpectedEOF
	}
	return err
}

// piece reads one frame of a message. It allocates as data arrives, not as the
// header promises.
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

// unexpected is err where more data is required.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// control handles a control frame, which may come between the fragments of a
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

// pong answers a ping from another goroutine: a server that does not read must not
// keep us from reading.
func (c *Conn) pong(payload []byte) {
	c.ping.Store(&payload)
	if !c.ponging.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for {
			for p := c.ping.Swap(nil); p != nil; p = c.ping.Swap(nil) {
				if c.send(ws.OpPong, *p, false) != nil {
					return // and no goroutine sends pongs any more
				}
			}
			c.ponging.Store(false)
			if c.ping.Load() == nil || !c.ponging.CompareAndSwap(false, true) {
				return
			}
		}
	}()
}

// closed reads the server's close frame and returns it. It answers, unless ours is
// sent already or cannot be sent at once.
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

// breach sends the server a close frame with the reason.
func (c *Conn) breach(b *proto.Breach) error {
	c.bye(ws.NewCloseFrameBody(ws.StatusCode(b.Code), ""))
	return b
}

// bye sends a close frame, unless another goroutine is sending: it does not wait.
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

// Close sends a close frame. The server answers with another, which Receive
// returns as proto.Closed.
func (c *Conn) Close(code proto.CloseCode, reason string) error {
	return c.send(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason), false)
}

func (c *Conn) send(op ws.OpCode, payload []byte, more bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frame(op, payload, more)
}

// frame appends a frame to the output buffer and flushes it.
func (c *Conn) frame(op ws.OpCode, payload []byte, more bool) error {
	if c.said {
		return net.ErrClosed
	}
	c.said = op == ws.OpClose
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	_ = ws.WriteHeader(&c.out, h) // a bytes.Buffer never fails
	at := c.out.Len()
	c.out.Write(payload)
	ws.Cipher(c.out.Bytes()[at:], h.Mask, 0)
	if more && c.out.Len() < blockSize {
		return nil
	}
	_, err := c.conn.Write(c.out.Bytes())
	if err != nil {
		c.said = true // whatever followed would be inside the broken frame
	}
	c.out.Reset()
	if c.out.Cap() > keptSize {
		c.out = bytes.Buffer{}
	}
	return err
}
