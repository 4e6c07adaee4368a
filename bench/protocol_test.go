//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const longText = "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"

func framed(text string) string {
	head := []byte{0x81, byte(len(text))}
	if len(text) > 125 {
		head = []byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}
	}
	return string(head) + text
}

// A message is found when all of it is there, and not before.
func TestFormsFindWholeMessages(t *testing.T) {
	object := `{"type":"message","seq":7,"time":"2026-11-24T12:00:00.123Z","text":"abc"}`
	for _, test := range []struct {
		speaks       *protocol
		stream, text string
	}{
		{webSocket, framed("abc"), "abc"},
		{webSocket, framed(""), ""},
		{webSocket, framed(longText), longText},
		{hubbubV1, framed(object), "abc"},
		{serverSent, "id: h5x2q9tk-7\ndata: abc\n\n", "abc"},
	} {
		for n := range test.stream {
			if _, size, err := test.speaks.next([]byte(test.stream[:n])); size != 0 || err != nil {
				t.Errorf("%s: %q is %d bytes, %v", test.speaks.name, test.stream[:n], size, err)
			}
		}
		text, size, err := test.speaks.next([]byte(test.stream + "more"))
		if string(text) != test.text || size != len(test.stream) || err != nil {
			t.Errorf("%s: %q is %q, %d bytes, %v", test.speaks.name, test.stream, text, size, err)
		}
	}
}

func TestFormsRefuseWhatIsNoMessage(t *testing.T) {
	for _, test := range []struct {
		speaks *protocol
		stream string
	}{
		{webSocket, "\x82\x03abc"}, // binary
		{webSocket, "\x01\x03abc"}, // a fragment
		{webSocket, "\x81\xffabcdefghij"},
		{hubbubV1, framed(`{"type":"heartbeat"}`)},
		{hubbubV1, framed(`no JSON`)},
		{serverSent, ":\n\n"},
		{serverSent, "data: abc\n\n"},
	} {
		if text, _, err := test.speaks.next([]byte(test.stream)); err == nil {
			t.Errorf("%s: %q passed for %q", test.speaks.name, test.stream, text)
		}
	}
}

const answered = "HTTP/1.1 101 Switching Protocols\r\n" + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// served returns a load of two WebSockets, after they got what is given, piece by
// piece.
func served(t *testing.T, lines string, to [2][]string) (*load, error) {
	t.Helper()
	l, accept := newTestLoad(t)
	l.want = []byte(lines)
	l.speak(webSocket)
	if err := l.connect(len(to), socket{}); err != nil {
		t.Fatal(err)
	}
	for i, pieces := range to {
		server := accept()
		asked := make([]byte, len(l.ask))
		if _, err := io.ReadFull(server, asked); err != nil || !bytes.Equal(asked, l.ask) {
			t.Fatalf("asked %q, %v", asked, err)
		}
		for _, piece := range pieces {
			if _, err := server.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < len(piece); {
				n, errno := bareRecv(l.clients[i].fd, l.buf[:len(piece)-got])
				if errno == unix.EAGAIN {
					continue
				}
				if errno != 0 {
					t.Fatal(errno)
				}
				if err := l.received(&l.clients[i], n); err != nil {
					return l, err
				}
				got += n
			}
		}
	}
	return l, nil
}

// Whatever the pieces, each client gets each message once.
func TestLoadCountsMessages(t *testing.T) {
	stream := answered + framed("one") + framed("two")
	l, err := served(t, "one\ntwo\n", [2][]string{strings.Split(stream, ""), {stream}})
	if err != nil {
		t.Fatal(err)
	}
	if l.opened != 2 || l.whole != 4 || l.clients[0].whole != 2 || l.got != 2*int64(len(stream)-len(answered)) {
		t.Errorf("%d answers, %d messages, %d of them the first's, %d bytes", l.opened, l.whole, l.clients[0].whole, l.got)
	}
}

// Whatever is not what was sent, or not what others got, is seen.
func TestLoadSeesAWrongMessage(t *testing.T) {
	for what, to := range map[string][2][]string{
		"no handshake":     {{"HTTP/1.1 200 OK\r\n\r\n"}},
		"a wrong proof":    {{"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n"}},
		"another line":     {{answered + framed("two")}},
		"more than sent":   {{answered + framed("one") + framed("two")}},
		"not what 1st got": {{answered + framed("one")}, {answered + framed("One")}},
	} {
		if _, err := served(t, "one\n", to); err == nil {
			t.Errorf("%s: taken without a word", what)
		}
	}
}

// Each delivery to a client that is not raw is timed as well.
func TestEveryProtocolIsTimed(t *testing.T) {
	h := small(t)
	var err error
	if h.hub, err = buildHub(h.dir); err != nil {
		t.Fatal(err)
	}
	for _, as := range []*protocol{webSocket, hubbubV1, serverSent} {
		f := fanout{clients: 10, size: 64, lines: 20, speaks: as}
		t.Run(as.name, func(t *testing.T) { timesAll(t, startServer(t, h, "any --wait-for CLIENTS", f.clients), f) })
	}
}

// The floors under handshakes answer each, keep it, and end it when asked to.
func TestFloorsHoldWebSockets(t *testing.T) {
	for _, floor := range []string{"upgrade", "let-go"} {
		t.Run(floor, func(t *testing.T) { holdsWebSockets(t, floor) })
	}
}

func holdsWebSockets(t *testing.T, floor string) {
	h := small(t)
	r := startServer(t, small(t), "library "+floor, 0)
	if err := r.settle(h.quiet); err != nil {
		t.Fatal(err)
	}
	r.load.speak(webSocket)
	if err := r.rush(200); err != nil {
		t.Fatal(err)
	}
	if n, err := descriptorsOf(r.server.pid); err != nil || n < r.own+200 {
		t.Fatalf("%d descriptors, %d before, %v", n, r.own, err)
	}
	if err := r.part(); err != nil {
		t.Fatal(err)
	}
	if n := r.load.lost; n != 200 {
		t.Errorf("%d ended", n)
	}
}

// Every line that is posted comes out of the floor, in its client's order.
func TestFloorWritesWhatIsPosted(t *testing.T) {
	p := posts{clients: 20, size: 32, lines: 30}
	r := startServer(t, small(t), "library post", 0)
	r.keep = true
	step, err := p.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	next := make(map[int]int)
	for line := range bytes.Lines(r.heard) {
		var client, post int
		if _, err := fmt.Sscanf(string(line), "%d %d\n", &client, &post); err != nil || len(line) != p.size {
			t.Fatalf("%q, %v", line, err)
		}
		if next[client] != post {
			t.Errorf("client %d: post %d, not %d", client, post, next[client])
		}
		next[client] = post + 1
	}
	if len(next) != p.clients || next[0] != 2*p.lines {
		t.Errorf("%d clients, %d posts of the first", len(next), next[0])
	}
}

// Who is slow says a request byte by byte, and begins anew once ended.
func TestSlowlorisSendsARequest(t *testing.T) {
	r := startServer(t, small(t), "floor gather", 0)
	r.keep = true
	h := &slowlorisRun{
		slowloris: slowloris{slow: 1, often: time.Millisecond}, lines: fanoutRun{h: r},
		ask: serverSent.requestTo(r.load.port), at: make([]int, 1), began: time.Now(),
	}
	if err := r.load.connect(1, socket{deaf: true}); err != nil {
		t.Fatal(err)
	}
	spell := func(until func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !until(); {
			if err := h.sendHeads(); err != nil {
				t.Fatal(err)
			}
			if err := r.turn(0); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(end) {
				t.Fatalf("came again %d times, and said %q", h.again, r.heard)
			}
		}
	}
	const long = 20
	spell(func() bool { return len(r.heard) >= long })
	all := h.ask[:len(h.ask)-1] // over and over, on a machine with much else to do
	if !bytes.HasPrefix(bytes.Repeat(all, 1+len(r.heard)/len(all)), r.heard) {
		t.Errorf("said %q", r.heard)
	}
	r.load.lose(&r.load.clients[0])
	r.heard = nil
	spell(func() bool { return bytes.Contains(r.heard, h.ask[:long]) })
	if h.again != 1 {
		t.Errorf("came again %d times", h.again)
	}
}
