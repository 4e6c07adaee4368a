//go:build unix

package hubbub_test

// The same messages in several forms: who speaks what, and comes when, makes no
// difference to what it hears.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"hubbub.example/internal/scene"

	"hubbub.example"
)

// What one form's client has heard nobody hears again, whatever it speaks, and
// however it leaves: also what was said before it came.
func TestHeardInOneFormIsHeard(t *testing.T) {
	t.Parallel()
	for i, protocol := range []string{"raw", "text", "sse", "websocket", "hubbub.v1"} {
		for _, leaves := range []string{"well", "without a word"} {
			for _, then := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s leaves %s, more comes while it is there: %v", protocol, leaves, then), func(t *testing.T) {
					t.Parallel()
					s := openAny(t, hubbub.Options{})
					s.says("one", "two")
					p := s.listener(protocol)
					p.hearsAll("one", "two")
					if then {
						s.says("three")
						p.hearsAll("three")
					}
					if protocol == "raw" {
						p.Says("I listen\n")
					}
					if leaves == "well" {
						p.leave()
						_, _ = io.Copy(io.Discard, p.R)
						_ = p.Close()
					} else if err := p.Close(); err != nil {
						t.Fatal(err)
					}
					s.leaves(1)
					s.has(0)
					s.says("four")
					s.listener([]string{"websocket", "raw"}[i%2]).hearsAll("four")
				})
			}
		}
	}
}

// listener is a client that hears, in whatever form.
type listener struct {
	*peer
	protocol string
	leave    func()        // in an orderly way
	next     func() string // message
}

// listener connects a client that speaks protocol.
func (s *stage) listener(protocol string, target ...string) *listener {
	s.t.Helper()
	at := "/"
	if len(target) > 0 {
		at = target[0]
	}
	switch protocol {
	case "raw", "text":
		var p *peer
		if protocol == "text" {
			p = s.stream(at)
		} else {
			p = s.raw()
		}
		return &listener{p, protocol, func() { p.Done() }, p.line}
	case "sse":
		p := s.sse(at)
		return &listener{p, protocol, func() { p.Done() }, func() string { return p.event().data }}
	case "websocket":
		c := s.socket(at)
		return &listener{c.peer, protocol, func() { c.Says(closing(1000, "")) }, func() string {
			_, p := c.next()
			return string(p)
		}}
	}
	c, _ := s.v1(at)
	return &listener{c.peer, protocol, func() { c.Says(closing(1000, "")) }, func() string { return c.object("message").Text }}
}

// line returns the next one.
func (p *peer) line() string {
	p.T.Helper()
	line, err := p.R.ReadString('\n')
	if err != nil {
		p.T.Fatalf("a client got %s (%v), want a line", scene.Brief(line), err)
	}
	return line[:len(line)-1]
}

// hearsAll waits for exactly these.
func (p *listener) hearsAll(want ...string) {
	p.T.Helper()
	for _, want := range want {
		if got := p.next(); got != want {
			p.T.Fatalf("a client that speaks %s got %s, want %s", p.protocol, scene.Brief(got), scene.Brief(want))
		}
	}
}

// A form's client may leave, and the backlog go round as often as it likes:
// what it had heard is not asked for any more.
func TestTheBacklogGoesRoundAfterAWebSocketLeft(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"sse", "websocket", "hubbub.v1"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := openAny(t, hubbub.Options{Backlog: 64 << 10})
			p := s.listener(protocol)
			s.says("one")
			p.hearsAll("one")
			p.Says("x")
			_ = p.Close()
			s.leaves(1)
			for i := range 1000 {
				s.says(string(numbered(i, 1000)))
			}
			q := s.listener(protocol)
			got := q.next()
			if i, err := strconv.Atoi(got[:9]); err != nil || i < 900 || got != string(numbered(i, 1000)) {
				t.Errorf("the next client gets %s first", scene.Brief(got))
			}
		})
	}
}

// A request that is a while under way begins where it came, or with the oldest
// that is kept by then.
func TestARequestIsUnderWayWhileTheBacklogGoesRound(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"", "http://"} {
		for _, slow := range []hubbub.Slow{hubbub.SlowWait, hubbub.SlowCut} {
			t.Run(protocol+slow.String(), func(t *testing.T) {
				t.Parallel()
				s := openAt(t, protocol+"127.0.0.1:0", unhurried(hubbub.Options{Backlog: 64 << 10, Slow: slow}))
				p := dial(t, s.at)
				p.Says("GET / HT")
				q := s.stream("/")
				// Three times round, in few steps: a request that is under way has ten seconds.
				const messages, size = 20, 10_000
				for i := range messages {
					s.says(string(numbered(i, size)))
					q.Hears(string(numbered(i, size)) + "\n")
				}
				p.Says("TP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
				if answer := p.answered(http.MethodGet); answer.StatusCode != http.StatusOK {
					t.Fatal(answer.Status)
				}
				got := p.line()
				if i, err := strconv.Atoi(got[:9]); err != nil || i < messages-10 || got != string(numbered(i, size)) {
					t.Errorf("it gets %s first", scene.Brief(got))
				}
			})
		}
	}
}

// A client that ends its side of an HTTP stream gets what the feed holds, then
// the end.
func TestAnHTTPStreamThatHalfClosesIsServedToTheEnd(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"Accept: text/plain", acceptEvents} {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			const n, size = 100, 10_000
			s := openAny(t, hubbub.Options{Replay: hubbub.ReplayAll})
			for i := range n {
				s.says(string(numbered(i, size)))
			}
			p := dial(t, s.at)
			p.Says(request(http.MethodGet, "/", accept))
			p.Done()
			if answer := p.answered(http.MethodGet); answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status)
			}
			for i := range n {
				next := p.line
				if accept == acceptEvents {
					next = func() string { return p.event().data }
				}
				if got := next(); got != string(numbered(i, size)) {
					t.Fatalf("message %d is %s", i, scene.Brief(got))
				}
			}
			p.HearsEnd()
			if reason := s.leaves(1); reason != "done" {
				t.Errorf("it left because %q", reason)
			}
		})
	}
}

// Clients of all kinds come at random moments, from wherever they like, while a
// source publishes and the feed forgets. Each hears the same messages in the
// same order with the same numbers, none twice, and none is missing behind where
// it was said to begin, but what it was told that it missed.
func TestAllFormsHearTheSame(t *testing.T) {
	t.Parallel()
	for _, slow := range []hubbub.Slow{hubbub.SlowWait, hubbub.SlowSkip} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%v %d", slow, seed), func(t *testing.T) {
				t.Parallel()
				const messages, clients = 1000, 20
				r := rand.New(rand.NewPCG(seed, 5))
				s := openAny(t, hubbub.Options{Slow: slow, Backlog: 256 << 10, MaxMessage: 60_000, Replay: hubbub.Replay(r.IntN(4) - 2), Loops: 2, Patience: scene.LongEnough})
				first, hello := s.v1("/?last=0")
				_ = first.Close()
				begun := make(chan int) // what has been broadcast when a client may come
				var hearing sync.WaitGroup
				defer hearing.Wait()
				for i := range clients {
					own := rand.New(rand.NewPCG(seed, uint64(100+i)))
					hearing.Go(func() {
						at, ok := <-begun
						if !ok {
							return
						}
						if err := hearAll(s, hello.Epoch, at, messages, slow, own); err != nil {
							t.Errorf("client %d, %d: %v", i, at, err)
						}
					})
				}
				for i := range messages {
					if i%(messages/clients) == 0 && i > 0 {
						begun <- i
					}
					ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
					err := s.Broadcast(ctx, varied(i))
					cancel()
					if err != nil {
						t.Error(err)
						break
					}
				}
				close(begun)
				hearing.Wait()
			})
		}
	}
}

// varied is message i, whose number is i+1.
func varied(i int) []byte {
	size := 10 + i*i%2500
	if i%97 == 0 {
		size = 40_000
	}
	return numbered(i, size)
}

// hearAll returns one client that comes when there are so many messages. Its kind,
// where it begins and how it reads is chosen at random.
func hearAll(s *stage, epoch string, came, end int, slow hubbub.Slow, r *rand.Rand) error {
	var prepare func(fd int) error
	if r.IntN(2) == 0 {
		prepare = scene.Narrow(s.at)
	}
	c, err := scene.Connect(s.at, prepare)
	if err != nil {
		return err
	}
	defer c.Close()
	p := &peer{scene.NewPeer(s.t, c)}
	since, headers, target := -1, []string(nil), "/"
	switch r.IntN(5) {
	case 0:
		target = fmt.Sprintf("/?last=%d", r.IntN(300))
	case 1:
		since = r.IntN(came + 1)
		target = "/?since=" + point(epoch, uint64(since))
	case 2:
		since = max(0, came-r.IntN(100))
		headers = []string{"Last-Event-ID: " + point(epoch, uint64(since))}
	}
	h := &hearer{since: since, last: since, slow: slow}
	kind := r.IntN(4)
	if kind >= 2 {
		headers = append(headers, handshake...)
	}
	switch kind {
	case 1:
		headers = append(headers, acceptEvents)
	case 3:
		headers = append(headers, speaksV1)
		h.last = -1
	}
	if _, err := io.WriteString(c, request(http.MethodGet, target, headers...)); err != nil {
		return err
	}
	answer, err := http.ReadResponse(p.R, nil)
	if err != nil || answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("GET %s: %v %w", target, answer, err)
	}
	next := []func() error{
		func() error { return h.line(p) },
		func() error { return h.event(p, epoch) },
		func() error { return h.frame(&socket{p, s}) },
		func() error { return h.object(&socket{p, s}) },
	}[kind]
	for h.last < end {
		if slow == hubbub.SlowSkip && r.IntN(200) == 0 {
			passes(time.Duration(r.IntN(50)) * time.Millisecond)
		}
		if err := c.SetDeadline(time.Now().Add(scene.LongEnough)); err != nil { // for each, not for all
			return err
		}
		if err := next(); err != nil {
			return fmt.Errorf("GET %s %v, after %d: %w", target, headers, h.last, err)
		}
	}
	return nil
}

// hearer is what one client has heard.
type hearer struct {
	since, last int // -1: it is not known yet
	slow        hubbub.Slow
}

// hears enters a message; gap says that it may be told of what is missing.
func (h *hearer) hears(seq int, message []byte, tells bool) error {
	if seq < 1 || !bytes.Equal(message, varied(seq-1)) {
		return fmt.Errorf("message %d is torn or another: %s", seq, scene.Brief(string(message)))
	}
	switch {
	case h.last < 0, seq == h.last+1:
	case seq <= h.last:
		return fmt.Errorf("message %d comes late", seq)
	case tells:
		return fmt.Errorf("message %d comes, and nobody said that others are missing", seq)
	case h.last != h.since && h.slow != hubbub.SlowSkip:
		return fmt.Errorf("message %d comes before others", seq)
	}
	h.last = seq
	return nil
}

// missed enters that so many are missing.
func (h *hearer) missed(n int) error {
	if h.last < 0 && n > 0 && h.slow == hubbub.SlowSkip {
		return nil // since it came; where that was it cannot know
	}
	if h.last < 0 || n < 1 || h.last != h.since && h.slow != hubbub.SlowSkip {
		return fmt.Errorf("%d are said to be missing", n)
	}
	h.last += n
	return nil
}

func (h *hearer) plain(message []byte) error {
	i, err := strconv.Atoi(string(message[:min(9, len(message))]))
	if err != nil {
		return err
	}
	return h.hears(i+1, message, false)
}

func (h *hearer) line(p *peer) error {
	line, err := p.R.ReadBytes('\n')
	if err != nil {
		return err
	}
	return h.plain(line[:len(line)-1])
}

func (h *hearer) frame(c *socket) error {
	op, p, err := c.nextFrame()
	if err == nil && op != ws.OpText {
		err = fmt.Errorf("frame %d", op)
	}
	if err != nil {
		return err
	}
	return h.plain(p)
}

func (h *hearer) event(p *peer, epoch string) error {
	e, err := p.nextEvent()
	if err != nil {
		return err
	}
	if e.kind == "skipped" {
		n, err := strconv.Atoi(e.data)
		return errors.Join(err, h.missed(n))
	}
	seq, err := strconv.Atoi(strings.TrimPrefix(e.id, epoch+"-"))
	if err != nil {
		return err
	}
	return h.hears(seq, []byte(e.data), true)
}

func (h *hearer) object(c *socket) error {
	o, err := c.nextObject()
	if err != nil {
		return err
	}
	switch o.Type {
	case "hello":
		if o.Unknown || h.since >= 0 && int(o.Seq) != h.since+int(o.Missed) {
			return fmt.Errorf("hello is %+v", o)
		}
		h.last, h.since = int(o.Seq), int(o.Seq)
		return nil
	case "skipped":
		if err := h.missed(o.Count); err != nil {
			return err
		}
		if h.last != int(o.Seq) {
			return fmt.Errorf("skipped is %+v, and %d are accounted for", o, h.last)
		}
		return nil
	case "message":
		return h.hears(int(o.Seq), []byte(o.Text), true)
	}
	return fmt.Errorf("a %s", o.Type)
}
