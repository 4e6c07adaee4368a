//go:build unix

package hubbub_test

// Clients that come and go with one request: what its body says are messages.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
)

// posts posts a body and returns the answer's code.
func (s *stage) posts(target, body string) int {
	s.t.Helper()
	p := dial(s.t, s.at)
	defer p.Close()
	return p.posts(target, body)
}

func (p *peer) posts(target, body string) int {
	p.T.Helper()
	p.Says(request(http.MethodPost, target, fmt.Sprintf("Content-Length: %d", len(body))) + body)
	return p.answered(http.MethodPost).StatusCode
}

// chunk returns a piece of a body that goes on.
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

const chunked = "Transfer-Encoding: chunked"

// story returns what happened, in order.
func story(events []hubbub.Event) (all []string) {
	for _, e := range events {
		line := fmt.Sprintf("%d %s %s", e.Client, e.Protocol, e.Kind)
		if e.Name != "" {
			line += " " + e.Name
		}
		if e.Kind == hubbub.Message {
			line += fmt.Sprintf(" %q", e.Data)
		}
		if e.Kind == hubbub.Leave {
			line += " " + e.Reason
		}
		all = append(all, line)
	}
	return all
}

// tells waits until all this has happened, and nothing else.
func (s *stage) tells(want ...string) {
	s.t.Helper()
	all := s.events.When(s.t, fmt.Sprintf("%d events", len(want)), func(all []hubbub.Event) bool { return len(all) >= len(want) })
	if got := story(all); !slices.Equal(got, want) {
		s.t.Fatalf("it happened %q, want %q", got, want)
	}
}

// Each line of a body is a message, the last one also without its newline; who
// posts comes before them and leaves behind them.
func TestAPostIsAClientThatComesAndGoes(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		s := openAt(t, address, unhurried(hubbub.Options{}))
		if code := s.posts("/?name=ann", "one\r\n\ntwo"); code != http.StatusNoContent {
			t.Fatal(code)
		}
		s.tells("1 post join ann", `1 post message ann "one"`, `1 post message ann ""`, `1 post message ann "two"`, "1 post leave ann done")
		if code := s.posts("/", ""); code != http.StatusNoContent {
			t.Fatal(code)
		}
		s.events.When(t, "the next", func(all []hubbub.Event) bool { return len(all) == 7 })
		scene.Until(t, "the hub has counted them", func() bool {
			n := s.Stats()
			return n.Clients == 0 && n.Joins == 2 && n.MessagesIn == 3
		})
	})
}

// As long a message as there may be is taken, whatever ends its line; a longer
// one is refused, and what came before it in the body is heard.
func TestAPostsLongestMessage(t *testing.T) {
	t.Parallel()
	const longest = 100_000
	for _, c := range []struct {
		more int
		end  string
		code int
	}{
		{0, "", 204},
		{0, "\n", 204},
		{0, "\r\n", 204},
		{0, "\r", 204},
		{1, "", 413},
		{1, "\n", 413},
		{1, "\nmore\n", 413},
	} {
		for _, how := range []string{"at once", "in chunks"} {
			s := openAny(t, hubbub.Options{MaxMessage: longest})
			p := dial(t, s.at)
			if how == "in chunks" {
				p.Says(request(http.MethodPost, "/", chunked) + chunk("first\n"))
				s.hears("1 first")
				p.Says(chunk(strings.Repeat("x", longest+c.more)+c.end) + "0\r\n\r\n")
			} else {
				body := "first\n" + strings.Repeat("x", longest+c.more) + c.end
				p.Says(request(http.MethodPost, "/", fmt.Sprintf("Content-Length: %d", len(body))) + body)
			}
			if code := p.answered(http.MethodPost).StatusCode; code != c.code {
				t.Errorf("%d bytes more than the longest, and %q, %s: %d, want %d", c.more, c.end, how, code, c.code)
			}
			s.leaves(1)
			got := texts(s.events.All())
			if c.code == 204 && (len(got) != 2 || len(got[1]) != longest+2) || c.code == 413 && !slices.Equal(got, []string{"1 first"}) {
				t.Errorf("%d bytes more than the longest, and %q, %s: %d messages are heard", c.more, c.end, how, len(got))
			}
		}
	}
}

// What comes in one piece with a message that is too long is heard as well.
func TestWhatAPostSaysBeforeAMessageTooLong(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{MaxMessage: 100})
	for i, end := range []string{"\n", "", "\nmore\n"} {
		if code := s.posts("/", "first\nsecond\n"+strings.Repeat("x", 300)+end); code != http.StatusRequestEntityTooLarge {
			t.Errorf("%q behind it: %d", end, code)
		}
		if reason := s.leaves(uint64(i + 1)); !strings.HasPrefix(reason, "sent a message longer than") || !s.isCut(uint64(i+1)) {
			t.Errorf("%q behind it: it left because %q", end, reason)
		}
	}
	s.hears("1 first", "1 second", "2 first", "2 second", "3 first", "3 second")
}

// A body may go on for ever: each of its lines is heard when it is there.
func TestAPostGoesOn(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	p := dial(t, s.at)
	p.Says(request(http.MethodPost, "/", chunked))
	var want []string
	for i := range 20 {
		line := fmt.Sprintf("line %d", i)
		want = append(want, "1 "+line)
		p.Says(chunk(line[:3]) + chunk(line[3:]+"\n"))
		s.hears(want...)
	}
	s.has(1)
	_ = p.Close()
	if reason := s.leaves(1); reason != "reset" || s.isCut(1) {
		t.Errorf("it left because %q", reason)
	}
	s.has(0)
}

// An inbox that nobody empties pushes back, and then nothing is missing, in
// order, of however many.
func TestPostsWaitForTheInbox(t *testing.T) {
	t.Parallel()
	const guests, lines, size = 6, 800, 1000
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Loops: 2}))
	posting := begins(func() error {
		return together(guests, func(i int) error {
			c, err := scene.Connect(s.at, nil)
			if err != nil {
				return err
			}
			defer c.Close()
			var body strings.Builder
			for j := range lines {
				body.Write(numbered(j, size))
				body.WriteString("\n")
			}
			if _, err := io.WriteString(c, request(http.MethodPost, fmt.Sprintf("/?name=%d", i), fmt.Sprintf("Content-Length: %d", body.Len()))+body.String()); err != nil {
				return err
			}
			p := make([]byte, 12)
			if _, err := io.ReadFull(c, p); err != nil || string(p) != "HTTP/1.1 204" {
				return fmt.Errorf("%q %w", p, err)
			}
			return nil
		})
	})
	s.readsNoMore()
	if n := s.Stats().MessagesIn; n == guests*lines {
		t.Fatal("the inbox took everything: make the scene bigger")
	}
	s.take()
	if err := posting(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	all := s.events.When(t, "all that was posted", func(all []hubbub.Event) bool { return len(all) == guests*(lines+2) })
	for _, e := range all {
		switch i := next[e.Name]; {
		case i == 0 && e.Kind == hubbub.Join, i == lines+1 && e.Kind == hubbub.Leave:
		case e.Kind == hubbub.Message && string(e.Data) == string(numbered(i-1, size)):
		default:
			t.Fatalf("event %d of %s is a %s %s", i, e.Name, e.Kind, scene.Brief(string(e.Data)))
		}
		next[e.Name]++
	}
}

// Nor can one that says nothing at all, over and over, come and go faster than
// the inbox is told of it.
func TestEmptyPostsWaitForTheInbox(t *testing.T) {
	t.Parallel()
	const posts, few = 300, 20
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Loops: 2}))
	p, flood := dial(t, s.at), dial(t, s.at)
	_, _ = io.Copy(io.Discard, p.asks(http.MethodGet, "/healthz").Body)
	s.fillInbox(flood)
	posting := begins(func() error {
		for range posts {
			if _, err := io.WriteString(p, request(http.MethodPost, "/?name=x", "Content-Length: 0")); err != nil {
				return err
			}
			answer, err := http.ReadResponse(p.R, nil)
			if err != nil {
				return err
			}
			if answer.StatusCode != http.StatusNoContent {
				return errors.New(answer.Status)
			}
		}
		return nil
	})
	if n := s.standsStill("no more come", 2, func(n hubbub.Stats) int64 { return n.Joins }); n > few {
		t.Errorf("%d have come while the inbox is full", n)
	}
	_ = flood.Close()
	s.take()
	if err := posting(); err != nil {
		t.Fatal(err)
	}
	all := s.events.When(t, "all that came and went", func(all []hubbub.Event) bool { return presences(all) == 2*posts })
	there := 0
	for _, e := range all {
		switch {
		case e.Name == "":
		case e.Kind == hubbub.Join:
			there++
		case e.Kind == hubbub.Leave:
			there--
		}
	}
	if there != 0 {
		t.Errorf("%d have come and not gone", there)
	}
}

// A body that says nothing for longer than a client may is told so, and left.
func TestAPostThatSaysNothingIsIdle(t *testing.T) {
	t.Parallel()
	const idle = 50 * time.Millisecond
	s := openAny(t, hubbub.Options{IdleTimeout: idle})
	for i, how := range []string{chunked, "Content-Length: 1000"} {
		p := dial(t, s.at)
		line := "one\n"
		if how == chunked {
			line = chunk(line)
		}
		p.Says(request(http.MethodPost, "/", how) + line)
		answer := p.answered(http.MethodPost)
		if why, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusRequestTimeout || string(why) != "no byte of the body for 50ms\n" {
			t.Errorf("%s: it is told %s: %q", how, answer.Status, why)
		}
		if reason := s.leaves(uint64(i + 1)); reason != "idle for 50ms" || !s.isCut(uint64(i+1)) {
			t.Errorf("%s: it left because %q", how, reason)
		}
	}
	s.hears("1 one", "2 one")
}

// Who is not read, since the inbox is full, is not idle.
func TestAPostThatWaitsForTheInboxIsNotIdle(t *testing.T) {
	t.Parallel()
	const idle, lines = time.Second, 3000
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Loops: 1, IdleTimeout: idle}))
	p := dial(t, s.at)
	posting := begins(func() error {
		body := strings.Repeat(strings.Repeat("x", 1000)+"\n", lines)
		_, err := io.WriteString(p, request(http.MethodPost, "/", fmt.Sprintf("Content-Length: %d", len(body)))+body)
		return err
	})
	scene.Until(t, "the inbox is full for longer than a client may be idle", func() bool {
		before := s.Stats().MessagesIn
		passes(2 * idle)
		return before > 0 && s.Stats().MessagesIn == before
	})
	if n := s.Stats().MessagesIn; n == lines {
		t.Fatal("the inbox took everything: make the scene bigger")
	}
	s.take()
	if err := posting(); err != nil {
		t.Fatal(err)
	}
	if answer := p.answered(http.MethodPost); answer.StatusCode != http.StatusNoContent {
		t.Errorf("it is told %s", answer.Status)
	}
}

// A body that ends within a record is told so: what came before it is taken.
func TestAPostThatEndsWithinARecord(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{Framing: 3})
	for _, c := range []struct {
		body string
		code int
		why  string
	}{
		{"abcdef", http.StatusNoContent, ""},
		{"", http.StatusNoContent, ""},
		{"abcde", http.StatusBadRequest, "the body ends inside a message: its last 2 bytes are no record of 3; the records before them are taken\n"},
		{"a", http.StatusBadRequest, "the body ends inside a message: its last 1 bytes are no record of 3; the records before them are taken\n"},
	} {
		p := dial(t, s.at)
		p.Says(request(http.MethodPost, "/", fmt.Sprintf("Content-Length: %d", len(c.body))) + c.body)
		answer := p.answered(http.MethodPost)
		if why, _ := io.ReadAll(answer.Body); answer.StatusCode != c.code || string(why) != c.why {
			t.Errorf("%q is answered with %s: %q", c.body, answer.Status, why)
		}
	}
	s.tells(
		"1 post join", `1 post message "abc"`, `1 post message "def"`, "1 post leave done",
		"2 post join", "2 post leave done",
		"3 post join", `3 post message "abc"`, "3 post leave done",
		"4 post join", "4 post leave done",
	)
}

// A hub that ends does not wait for bodies that go on, nor for an inbox that
// nobody empties: who posts is told that the server ends.
func TestAHubEndsWhileItIsPostedTo(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("the inbox is full: %v", full), func(t *testing.T) {
			t.Parallel()
			s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{}))
			p := dial(t, s.at)
			p.Says(request(http.MethodPost, "/", chunked))
			s.has(1)
			if full {
				line := chunk(strings.Repeat("x", 9999) + "\n")
				flooding := make(chan struct{})
				go func() {
					defer close(flooding)
					for range 10_000 {
						if _, err := io.WriteString(p, line); err != nil {
							return
						}
					}
				}()
				t.Cleanup(func() { _ = p.Close(); <-flooding })
				s.readsNoMore()
			}
			began := time.Now()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			// A second is for the body, another for who may still take from the inbox,
			// the rest for the machine.
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("Close took %v", took)
			}
			if n := s.Stats().Clients; n != 0 {
				t.Errorf("there are %d clients", n)
			}
			if !full {
				if answer := p.answered(http.MethodPost); answer.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("it is told %s", answer.Status)
				}
			}
			for _, line := range s.log.All() {
				if strings.Contains(line, "have not ended") {
					t.Errorf("the hub said %q", line)
				}
			}
		})
	}
}

// What is in the inbox when the hub ends stays to be received, posts too.
func TestWhatWasPostedIsReceivedAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{}))
	if code := s.posts("/", "one\n"); code != http.StatusNoContent {
		t.Fatal(code)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		b, err := s.Receive(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		for e := range b.Events() {
			e.Data = slices.Clone(e.Data)
			got = append(got, story([]hubbub.Event{e})...)
		}
		b.Release()
	}
	if want := []string{"1 post join", `1 post message "one"`, "1 post leave done"}; !slices.Equal(got, want) {
		t.Errorf("it happened %q, want %q", got, want)
	}
}

// Posts that hold the beginnings of messages are refused when they have half of
// what all may hold: so nobody else, who would be cut for it, goes in their place.
func TestPostsHoldHalfAtMost(t *testing.T) {
	t.Parallel()
	const backlog, held, posts = 1 << 20, 190_000, 5
	s := openAny(t, hubbub.Options{Backlog: backlog, MaxMessage: 200_000})
	var all []*peer
	for range posts {
		p := dial(t, s.at)
		p.Says(request(http.MethodPost, "/", chunked) + chunk(strings.Repeat("x", held)))
		all = append(all, p)
	}
	refused := make(chan struct{}, posts)
	for _, p := range all {
		go func() {
			if answer, err := http.ReadResponse(p.R, nil); err == nil && answer.StatusCode == http.StatusServiceUnavailable {
				refused <- struct{}{}
			}
		}()
	}
	for range posts - backlog/2/held {
		select {
		case <-refused:
		case <-patient(t).Done():
			t.Fatal("posts hold more than half")
		}
	}
	c := s.raw()
	half := strings.Repeat("y", held)
	c.Says(half)
	id := uint64(s.Stats().Joins)
	c.Says("\n")
	s.hears(fmt.Sprintf("%d %s", id, half))
}

// kicks ends client id.
func (s *stage) kicks(id uint64, reason string) {
	s.t.Helper()
	if err := s.Kick(id, reason); err != nil {
		s.t.Fatal(err)
	}
}

// isKicked waits until the body's answer says so, and the connection ends.
func (p *peer) isKicked(want string) {
	p.T.Helper()
	answer := p.answered(http.MethodPost)
	why, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusForbidden || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") || string(why) != want+"\n" || err != nil {
		p.T.Fatalf("it is told %s: %q %v", answer.Status, why, err)
	}
	p.Done()
	p.HearsEnd()
}

// Who is kicked while its body goes on is answered with the reason. What it has
// said stays heard; what it has begun to say, or says then, is not.
func TestKickOfAPost(t *testing.T) {
	t.Parallel()
	everyAny(t, func(t *testing.T, address string) {
		s := openAt(t, address, unhurried(hubbub.Options{IdleTimeout: time.Minute}))
		for i, how := range []string{chunked, "Content-Length: 1000"} {
			id, line, begun := uint64(i+1), "one\n", "tw"
			if how == chunked {
				line, begun = chunk(line), chunk(begun)
			}
			p := dial(t, s.at)
			p.Says(request(http.MethodPost, "/", how) + line)
			s.events.When(t, "it is heard", func(all []hubbub.Event) bool { return len(texts(all)) == i+1 })
			p.Says(begun)
			s.kicks(id, []string{"enough", ""}[i])
			if reason := s.leaves(id); reason != []string{"kicked: enough", "kicked"}[i] || !s.isCut(id) {
				t.Errorf("%s: it left because it is %q", how, reason)
			}
			p.Says(strings.TrimPrefix(line, begun))
			p.isKicked([]string{"kicked: enough", "kicked"}[i])
		}
		s.has(0)
		s.tells("1 post join", `1 post message "one"`, "1 post leave kicked: enough", "2 post join", `2 post message "one"`, "2 post leave kicked")
		if err := s.Kick(1, ""); err == nil || err.Error() != "there is no client 1" {
			t.Errorf("Kick of who has gone says %v", err)
		}
	})
}

// One that says more and more, with a client that reads while it writes, gets its
// answer all the same, and is gone.
func TestKickOfAPostThatNeverStops(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	var said atomic.Int64
	body := forever{said: &said}
	posting := begins(func() error {
		answer, err := http.Post("http://"+s.at+"/?name=spam", "text/plain", body)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if why, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusForbidden || string(why) != "kicked: spam\n" || err != nil {
			return fmt.Errorf("it is told %s: %q %w", answer.Status, why, err)
		}
		return nil
	})
	s.events.When(t, "it is heard", func(all []hubbub.Event) bool { return len(texts(all)) > 1000 })
	s.kicks(1, "spam")
	if err := posting(); err != nil {
		t.Error(err)
	}
	s.has(0)
	s.leaves(1) // which may be heard of later than answered
	heard := texts(s.events.All())
	if all := s.events.All(); all[len(all)-1].Kind != hubbub.Leave || all[len(all)-1].Reason != "kicked: spam" {
		t.Errorf("the last that happened is %v", all[len(all)-1])
	}
	if n := said.Load(); int64(len(heard)) > n {
		t.Errorf("%d lines are heard of %d", len(heard), n)
	}
}

// forever is a body without an end, a line at a time.
type forever struct{ said *atomic.Int64 }

func (f forever) Read(p []byte) (int, error) {
	f.said.Add(1)
	return copy(p, "buy now\n"), nil
}

// One that waits for an inbox that nobody empties waits no longer.
func TestKickOfAPostThatWaitsForTheInbox(t *testing.T) {
	t.Parallel()
	s := openUntaken(t, "127.0.0.1:0", unhurried(hubbub.Options{Loops: 1}))
	p := dial(t, s.at)
	p.Says(request(http.MethodPost, "/", chunked))
	s.has(1)
	line := chunk(strings.Repeat("x", 9999) + "\n")
	flooding := begins(func() error {
		for {
			if _, err := io.WriteString(p, line); err != nil {
				return nil // it is over
			}
		}
	})
	s.readsNoMore()
	n := s.Stats().MessagesIn
	s.kicks(1, "spam")
	answer := p.answered(http.MethodPost)
	if why, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusForbidden || string(why) != "kicked: spam\n" {
		t.Errorf("it is told %s: %q", answer.Status, why)
	}
	s.has(0)
	_ = p.Close()
	if err := flooding(); err != nil {
		t.Error(err)
	}
	s.take()
	s.leaves(1)
	if got := int64(len(texts(s.events.All()))); got != n {
		t.Errorf("%d messages are heard, and %d were when it was kicked", got, n)
	}
}

// The next request of a connection is not ended for one before it.
func TestKickOfAPostThatEnds(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	p := dial(t, s.at)
	for id := uint64(1); id < 200; id++ {
		p.Says(request(http.MethodPost, "/", chunked) + chunk("hello\n"))
		s.events.When(t, "it is heard", func(all []hubbub.Event) bool { return len(texts(all)) == int(id) })
		kicking := begins(func() error { _ = s.Kick(id, ""); return nil })
		p.Says("0\r\n\r\n")
		answer := p.answered(http.MethodPost)
		_, _ = io.Copy(io.Discard, answer.Body)
		if err := kicking(); err != nil {
			t.Fatal(err)
		}
		if reason := s.leaves(id); reason != "done" && reason != "kicked" {
			t.Fatalf("%d left because it is %q", id, reason)
		}
		if code := answer.StatusCode; code != http.StatusNoContent && code != http.StatusForbidden {
			t.Fatalf("%d is told %s", id, answer.Status)
		}
		if answer.Close {
			_ = p.Close()
			p = dial(t, s.at)
		}
	}
}

// What a post says is not heard as long as it is muted.
func TestMuteOfAPost(t *testing.T) {
	t.Parallel()
	s := openAny(t, hubbub.Options{})
	p := dial(t, s.at)
	p.Says(request(http.MethodPost, "/", chunked))
	s.has(1)
	for i, mute := range []bool{false, true, false} {
		if err := s.Mute(1, mute); err != nil {
			t.Fatal(err)
		}
		p.Says(chunk(fmt.Sprintf("word %d\n", i)))
		scene.Until(t, "it is taken", func() bool { return s.listed().Clients[0].In.Bytes == int64(7*(i+1)) })
	}
	p.Says("0\r\n\r\n")
	if answer := p.answered(http.MethodPost); answer.StatusCode != http.StatusNoContent {
		t.Errorf("it is told %s", answer.Status)
	}
	s.hears("1 word 0", "1 word 2")
}
