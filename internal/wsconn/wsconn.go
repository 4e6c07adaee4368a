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
// sent a close frame, proto.Breach if it broke the protocol; io.EOF or
// io.ErrUnexpectedEOF if the connection closed. Open returns BadHandshake for an HTTP
// response that opens no WebSocket, and another error if the response is not HTTP.
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

	ping atomic.Pointer[[]byte] // the last one that is not answered yet

	mu     sync.Mutex // guards the rest
	out    bytes.Buffer
	closed bool // a close frame was sent, or a frame only in part
}

const (
	blockSize = 64 << 10

	// maxKept is the largest buffer kept between messages.
	maxKept = 1 << 20

	// firstLimit is the longest message before Limit is called.
	firstLimit = 64 << 10

	// closeTimeout is how long a close frame that answers may take to be sent.
	closeTimeout = time.Second
)

// Open opens a WebSocket with this subprotocol. target is path and query.
func Open(conn net.Conn, host, target, protocol string) (*Conn, error) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, err
	}
	h := &handshake{Conn: conn}
	d := ws.Dialer{Host: host, Protocols: []string{protocol}}
	early, chosen, err := d.Upgrade(h, u)
	if err != nil {
		return nil, h.failure(err)
	}
	var r io.Reader = conn
	if early != nil {
		first, _ := early.Peek(early.Buffered())
		r = io.MultiReader(bytes.NewReader(bytes.Clone(first)), conn)
		ws.PutReader(early)
	}
	if chosen.Protocol != protocol {
		return nil, &BadHandshake{0, fmt.Errorf("the server speaks WebSocket, but not %s", protocol)}
	}
	return &Conn{conn: conn, r: bufio.NewReaderSize(r, blockSize), limit: firstLimit}, nil
}

// handshake is a connection whose response must be HTTP. One that cannot be HTTP fails
// at once, even a prompt without a newline.
type handshake struct {
	net.Conn
	response bytes.Buffer // what has arrived
}

const (
	httpPrefix  = "HTTP/1."
	maxResponse = 64 << 10
)

var errNotHTTP = errors.New("the server does not speak HTTP")

func (h *handshake) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.response.Write(p[:n])
	switch got := h.response.Bytes(); {
	case !bytes.HasPrefix(got, []byte(httpPrefix)[:min(len(got), len(httpPrefix))]):
		return 0, errNotHTTP
	case len(got) > maxResponse:
		return 0, fmt.Errorf("a response of more than %d bytes", maxResponse)
	}
	return n, err
}

// failure returns the error for a response that opens no WebSocket. It parses the
// response again: package ws does not report the status of HTTP/1.0.
func (h *handshake) failure(why error) error {
	if h.response.Len() < len(httpPrefix) || errors.Is(why, errNotHTTP) {
		return why
	}
	all := io.LimitReader(io.MultiReader(&h.response, h.Conn), 2*maxResponse)
	r, err := http.ReadResponse(bufio.NewReader(all), nil)
	switch {
	case err == nil && r.StatusCode != http.StatusSwitchingProtocols:
		defer r.Body.Close()
		return &BadHandshake{r.StatusCode, errors.New(reason(r))}
	case why == io.EOF:
		why = io.ErrUnexpectedEOF
	}
	return &BadHandshake{0, why}
}

// BadHandshake is an HTTP response that opens no WebSocket.
type BadHandshake struct {
	Code int // the HTTP status; 0: the response is malformed
	Err  error
}

func (b *BadHandshake) Error() string {
	switch {
	case b.Code == 0:
		return fmt.Sprintf("malformed HTTP response: %v", b.Err)
	case b.Code < http.StatusBadRequest:
		return fmt.Sprintf("the server did not open a WebSocket: %d %v", b.Code, b.Err)
	}
	return fmt.Sprintf("the server refused: %d %v", b.Code, b.Err)
}

func (b *BadHandshake) Unwrap() error { return b.Err }

// Status returns the HTTP status, or 0.
func (b *BadHandshake) Status() int { return b.Code }

// reason returns the first line of a plain text refusal, else the text of the status.
func reason(r *http.Response) string {
	if r.StatusCode >= http.StatusBadRequest && strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 500)) // what there is
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return http.StatusText(r.StatusCode)
}

// Limit sets the longest message from now on. Only the receiver may call it.
func (c *Conn) Limit(size int64) { c.limit = size }

// Receive returns the next message, valid until the next call. It is UTF-8.
func (c *Conn) Receive() ([]byte, error) {
	if cap(c.message) > maxKept {
		c.message = nil
	}
	c.message = c.message[:0]
	for state := ws.StateClientSide; ; {
		h, err := ws.ReadHeaderBuffer(c.r, c.head[:])
		if err == ws.ErrHeaderLengthMSB || err == ws.ErrHeaderLengthUnexpected {
			return nil, c.breach(proto.Breachf(proto.CloseProtocolError, "%v", err))
		}
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return nil, c.breach(proto.Breachf(proto.CloseProtocolError, "%v", err))
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if err := c.payload(h); err != nil {
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

// payload reads one frame of a message. It allocates as data arrives, not as the
// header promises.
func (c *Conn) payload(h ws.Header) error {
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
			return err
		}
		left -= int64(step)
	}
	return nil
}

// control handles a control frame, which may come between the fragments of a
// message.
func (c *Conn) control(h ws.Header) error {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		c.pong(payload)
	case ws.OpClose:
		return c.closeFrame(payload)
	}
	return nil
}

// pong answers a ping from another goroutine: a server that does not read must not
// keep us from reading. At most one goroutine sends a pong, and one waits with the
// last ping.
func (c *Conn) pong(payload []byte) {
	if c.ping.Swap(&payload) != nil {
		return // the goroutine of the one before sends it
	}
	go func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = c.frame(ws.OpPong, *c.ping.Swap(nil), false)
	}()
}

// closeFrame reads the server's close frame and returns it. It answers, unless ours is
// sent already or cannot be sent at once.
func (c *Conn) closeFrame(payload []byte) error {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) == 0 {
		code = ws.StatusNoStatusRcvd
		c.tryClose(nil)
	} else if !proto.CloseCode(code).Sendable() {
		return c.breach(proto.Breachf(proto.CloseProtocolError, "close code %d", code))
	} else if !utf8.ValidString(reason) {
		return c.breach(proto.Breachf(proto.CloseInvalidPayload, "close reason is not UTF-8"))
	} else {
		c.tryClose(ws.NewCloseFrameBody(code, ""))
	}
	return &proto.Closed{Code: proto.CloseCode(code), Reason: reason}
}

// breach sends the server a close frame with the reason.
func (c *Conn) breach(b *proto.Breach) error {
	c.tryClose(ws.NewCloseFrameBody(ws.StatusCode(b.Code), ""))
	return b
}

// tryClose sends a close frame, unless another goroutine is sending: it does not wait.
func (c *Conn) tryClose(body []byte) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		_ = c.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
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
	if c.closed {
		return net.ErrClosed
	}
	c.closed = op == ws.OpClose
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
		c.closed = true // whatever followed would be inside this frame
	}
	c.out.Reset()
	if c.out.Cap() > maxKept {
		c.out = bytes.Buffer{}
	}
	return err
}
