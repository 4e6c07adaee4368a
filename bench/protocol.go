//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// protocol is what clients speak that are not raw: they send a request first, then
// receive messages.
type protocol struct {
	name    string
	request string // what a client sends first; PORT is the server's
	status  string // the beginning of the response
	proof   string // what its head must contain
	hello   bool   // each client receives a message of its own first
	again   bool   // each response is a head only, and the client asks again

	// next is the text of the first message in p, and how many bytes of p the
	// message takes; 0: it is not complete.
	next func(p []byte) (text []byte, n int, err error)
}

// What browsers send, as far as it costs the server.
const browser = "Host: 127.0.0.1:PORT\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Origin: http://127.0.0.1:PORT\r\n"

const upgrade = "GET / HTTP/1.1\r\n" + browser +
	"Connection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

const (
	switching = "HTTP/1.1 101 "
	accepted  = ": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" // RFC 6455, section 1.3
)

var (
	webSocket = &protocol{
		name: "WebSocket", request: upgrade + "\r\n", status: switching, proof: accepted, next: frame,
	}
	hubbubV1 = &protocol{
		name: "hubbub.v1", request: upgrade + "Sec-WebSocket-Protocol: hubbub.v1\r\n\r\n", status: switching,
		proof: accepted, hello: true, next: numberedFrame,
	}
	postRequests = &protocol{
		name: "POST", status: "HTTP/1.1 204 ", again: true,
		request: "POST / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n" +
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: SIZE\r\n\r\n",
	}
	serverSent = &protocol{
		name: "SSE", request: "GET / HTTP/1.1\r\n" + browser + "Accept: text/event-stream\r\n\r\n",
		status: "HTTP/1.1 200 ", proof: "Content-Type: text/event-stream\r\n", next: event,
	}
)

func (f *protocol) requestTo(port int) []byte {
	return []byte(strings.ReplaceAll(f.request, "PORT", fmt.Sprint(port)))
}

// frame returns the first WebSocket frame of p, which must be a whole text message
// from a server.
func frame(p []byte) (text []byte, n int, err error) {
	if len(p) < 2 {
		return nil, 0, nil
	}
	if p[0] != 0x81 || p[1] > 126 {
		return nil, 0, fmt.Errorf("a frame that begins with %#x", p[:2])
	}
	head, size := 2, int(p[1])
	if size == 126 {
		if len(p) < 4 {
			return nil, 0, nil
		}
		head, size = 4, int(binary.BigEndian.Uint16(p[2:]))
	}
	if len(p) < head+size {
		return nil, 0, nil
	}
	return p[head : head+size], head + size, nil
}

// masked returns the frame of a client's message of less than 126 bytes; the mask is zero.
func masked(text []byte) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

// numberedFrame returns a message of hubbub.v1 in a frame.
func numberedFrame(p []byte) (text []byte, n int, err error) {
	object, n, err := frame(p)
	if n == 0 || err != nil {
		return nil, 0, err
	}
	var message struct {
		Type, Text string
		Seq        uint64
		Time       time.Time
	}
	if err := json.Unmarshal(object, &message); err != nil {
		return nil, 0, fmt.Errorf("no message: %q: %w", object, err)
	}
	if message.Type != "message" || message.Seq == 0 || message.Time.IsZero() {
		return nil, 0, fmt.Errorf("no message: %q", object)
	}
	return []byte(message.Text), n, nil
}

// event returns a server-sent event of one line.
func event(p []byte) (text []byte, n int, err error) {
	end := bytes.Index(p, []byte("\n\n"))
	if end < 0 {
		return nil, 0, nil
	}
	id, data, _ := bytes.Cut(p[:end], []byte("\n"))
	text, isData := bytes.CutPrefix(data, []byte("data: "))
	if !bytes.HasPrefix(id, []byte("id: ")) || !isData {
		return nil, 0, fmt.Errorf("no event: %q", p[:end])
	}
	return text, end + 2, nil
}

// understood handles what a client received. After the response's head all clients
// receive the same: the first to receive a byte has its messages checked, the others
// compare.
func (l *load) understood(c *client, p []byte) error {
	for !c.opened {
		rest, err := l.opening(c, p)
		if err != nil || len(rest) == 0 {
			return err
		}
		p = rest
	}
	from, to := int(c.got), int(c.got)+len(p)
	known := min(to, len(l.stream)) - from
	if !bytes.Equal(p[:known], l.stream[from:from+known]) {
		return fmt.Errorf("byte %d is not what others got", from)
	}
	if l.stream = append(l.stream, p[known:]...); known < len(p) {
		if err := l.scan(); err != nil {
			return err
		}
	}
	first := c.whole
	for c.whole < len(l.ends) && l.ends[c.whole] <= to {
		c.whole++
	}
	if l.watch != nil {
		l.watch.lines(first, c.whole)
	}
	l.whole += c.whole - first
	c.got = int64(to)
	l.got += int64(len(p))
	return nil
}

// opening handles what precedes a client's stream and returns what follows.
func (l *load) opening(c *client, p []byte) (rest []byte, err error) {
	if begun := l.heads[c.fd]; begun != nil {
		delete(l.heads, c.fd)
		p = append(begun, p...)
	}
	head, rest, whole := bytes.Cut(p, []byte("\r\n\r\n"))
	if whole && l.speaks.hello {
		_, n, err := frame(rest)
		if err != nil {
			return nil, err
		}
		whole, rest = n > 0, rest[n:]
	}
	if !whole {
		l.heads[c.fd] = bytes.Clone(p)
		return nil, nil
	}
	if !bytes.HasPrefix(head, []byte(l.speaks.status)) || !bytes.Contains(p, []byte(l.speaks.proof)) {
		return nil, fmt.Errorf("response: %q", head)
	}
	l.opened++
	if l.speaks.again {
		c.whole++
		return rest, nil
	}
	c.opened = true
	return rest, nil
}

// scan finds the messages that are complete and checks that they are the lines that
// were sent.
func (l *load) scan() error {
	begin := 0
	if len(l.ends) > 0 {
		begin = l.ends[len(l.ends)-1]
	}
	for {
		text, n, err := l.speaks.next(l.stream[begin:])
		if n == 0 || err != nil {
			return err
		}
		line, rest, sent := bytes.Cut(l.want[l.seen:], []byte("\n"))
		if !sent || !bytes.Equal(text, line) {
			return fmt.Errorf("message %d is %q, not %q", len(l.ends)+1, text, line)
		}
		l.seen = len(l.want) - len(rest)
		begin += n
		l.ends = append(l.ends, begin)
	}
}

// join connects n clients of the load's protocol, never more at once than a
// listener's queue holds, and waits until each has its stream.
func (r *harness) join(n int) (err error) {
	defer catch(&err)
	for left := n; left > 0; left -= queue {
		must(r.load.connect(min(left, queue), socket{}))
		must(r.until(func() bool { return r.load.opened >= len(r.load.clients) }))
	}
	return nil
}

// part closes every WebSocket and waits until the server has closed them, too.
func (r *harness) part() error {
	// A masked close frame with code 1000; the mask is zero.
	bye := []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8}
	for i := range r.load.clients {
		if n, errno := bareSend(r.load.clients[i].fd, bye); errno != 0 || n < len(bye) {
			return fmt.Errorf("send: %w", errno)
		}
	}
	r.load.parting = true
	since := time.Now()
	for r.load.lost < len(r.load.clients) {
		if err := r.turn(r.nap); err != nil {
			return err
		}
		if time.Since(since) > stalledAfter {
			return r.failed("the server does not end WebSockets")
		}
	}
	return nil
}
