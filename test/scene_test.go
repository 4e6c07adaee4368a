//go:build unix

package hubbub_test

// This file is what the scenes of the other tests are made of:
//
//	stage     a hub that listens, what it logs, what it receives
//	peer      a client of the plainest kind; narrow ones have small buffers
//	numbered  messages that show by themselves whether they are whole

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hubbub.example"
	"hubbub.example/internal/scene"
	"hubbub.example/internal/sock"
)

// patient returns a context for one test, which ends before go test loses patience.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scene.LongEnough)
	t.Cleanup(cancel)
	return ctx
}

// stage is a hub that listens.
type stage struct {
	*hubbub.Hub
	t      *testing.T
	at     string                     // its address
	rawAt  string                     // and one for raw clients only, if one was asked for
	log    *scene.Board[string]       // its log, from slog.LevelInfo up
	events *scene.Board[hubbub.Event] // what it received
}

// open opens a hub on a free port.
func open(t *testing.T, o hubbub.Options) *stage {
	t.Helper()
	return openAt(t, "tcp://127.0.0.1:0", o)
}

// openAt opens a hub that listens at address. It closes with the test.
func openAt(t *testing.T, address string, o hubbub.Options) *stage {
	t.Helper()
	s := openUntaken(t, address, o)
	s.take()
	return s
}

// take takes what the hub receives from now on.
func (s *stage) take() {
	go func() {
		for e := range s.Events(context.Background()) {
			e.Data = bytes.Clone(e.Data)
			s.events.Add(e)
		}
	}()
}

// openUntaken is openAt, but what the hub receives stays in its inbox.
func openUntaken(t *testing.T, address string, o hubbub.Options) *stage {
	t.Helper()
	s := openUnasked(t, address, o)
	// Who has said nothing is a client as soon as somebody waits for clients.
	go func() { _ = s.WaitForClients(t.Context(), math.MaxInt) }()
	return s
}

// openUnasked is openUntaken, but nobody waits for clients.
func openUnasked(t *testing.T, address string, o hubbub.Options) *stage {
	t.Helper()
	s := &stage{t: t, log: &scene.Board[string]{}, events: &scene.Board[hubbub.Event]{}}
	o.Logger = slog.New(logTo{s.log})
	if o.Sniff == 0 {
		o.Sniff = time.Millisecond
	}
	var err error
	if s.Hub, err = hubbub.New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the hub: %v", err)
		}
		if t.Failed() {
			t.Logf("the hub said: %s", scene.Brief(strings.Join(s.log.All(), "\n")))
		}
	})
	at, err := s.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s.at = at[0].String()
	return s
}

// everyNetwork runs a scene with TCP and with a Unix socket.
func everyNetwork(t *testing.T, play func(t *testing.T, address string)) {
	t.Helper()
	atBoth(t, "tcp://127.0.0.1:0", play)
}

// atBoth runs a scene with this address and with a Unix socket.
func atBoth(t *testing.T, tcp string, play func(t *testing.T, address string)) {
	t.Helper()
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		play(t, tcp)
	})
	t.Run("unix", func(t *testing.T) {
		t.Parallel()
		play(t, unixAddress(t))
	})
}

// unixAddress returns the address of a Unix socket in a folder of its own. Not
// t.TempDir: with the test's name in it the path may be too long for a socket.
func unixAddress(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hub") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return "unix:" + filepath.Join(dir, "s")
}

// says broadcasts each of these.
func (s *stage) says(messages ...string) {
	s.t.Helper()
	ctx := patient(s.t)
	for _, m := range messages {
		if err := s.Broadcast(ctx, []byte(m)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// client connects one client.
func (s *stage) client() *peer {
	s.t.Helper()
	return s.clients(1)[0]
}

// clients connects n clients and waits until the hub has them.
func (s *stage) clients(n int) []*peer {
	s.t.Helper()
	var all []*peer
	s.join(n, func() { all = append(all, dial(s.t, s.at)) })
	return all
}

// narrowClient connects a client that takes little before it reads.
func (s *stage) narrowClient() *peer {
	s.t.Helper()
	var p *peer
	s.join(1, func() { p = dialNarrow(s.t, s.at) })
	return p
}

// join connects n clients and waits until the hub has taken them in.
func (s *stage) join(n int, connect func()) {
	s.t.Helper()
	joins := s.Stats().Joins
	for range n {
		connect()
	}
	scene.Until(s.t, fmt.Sprintf("%d clients have joined", n), func() bool { return s.Stats().Joins >= joins+int64(n) })
}

// has waits until there are n clients.
func (s *stage) has(n int) {
	s.t.Helper()
	scene.Until(s.t, fmt.Sprintf("there are %d clients", n), func() bool { return s.Stats().Clients == n })
}

// logs waits for a line of the log with text in it.
func (s *stage) logs(text string) string {
	s.t.Helper()
	var found string
	s.log.When(s.t, fmt.Sprintf("a log line with %q", text), func(all []string) bool {
		i := slices.IndexFunc(all, func(line string) bool { return strings.Contains(line, text) })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// texts returns the messages among events, each as "ID text".
func texts(events []hubbub.Event) []string {
	var out []string
	for _, e := range events {
		if e.Kind == hubbub.Message {
			out = append(out, fmt.Sprintf("%d %s", e.Client, e.Data))
		}
	}
	return out
}

// hears waits until exactly these messages have come, each as "ID text".
func (s *stage) hears(want ...string) {
	s.t.Helper()
	all := s.events.When(s.t, fmt.Sprintf("%d messages", len(want)), func(all []hubbub.Event) bool {
		return len(texts(all)) >= len(want)
	})
	if got := texts(all); !slices.Equal(got, want) {
		s.t.Fatalf("the hub received %s, want %s", scene.Brief(fmt.Sprint(got)), scene.Brief(fmt.Sprint(want)))
	}
}

// leaves waits until client id has left, and returns the reason.
func (s *stage) leaves(id uint64) string {
	s.t.Helper()
	var reason string
	s.events.When(s.t, fmt.Sprintf("client %d leaves", id), func(all []hubbub.Event) bool {
		i := slices.IndexFunc(all, func(e hubbub.Event) bool { return e.Kind == hubbub.Leave && e.Client == id })
		if i >= 0 {
			reason = all[i].Reason
		}
		return i >= 0
	})
	return reason
}

// isCut reports whether client id has left because the hub ended it.
func (s *stage) isCut(id uint64) bool {
	return slices.ContainsFunc(s.events.All(), func(e hubbub.Event) bool { return e.Kind == hubbub.Leave && e.Client == id && e.Code.Cut() })
}

// readsNoMore waits until the hub has stopped reading from its clients.
func (s *stage) readsNoMore() {
	s.t.Helper()
	s.standsStill("the clients are not read any more", 1, func(n hubbub.Stats) int64 { return n.BytesIn })
}

// isHeld waits until at least so many messages have been broadcast, and the
// source is held; it returns how many there are.
func (s *stage) isHeld(least int64) int64 {
	s.t.Helper()
	return s.standsStill("the source is held", least, func(n hubbub.Stats) int64 { return n.Broadcasts })
}

// standsStill waits until a counter has had the same value for a while.
func (s *stage) standsStill(what string, least int64, counter func(hubbub.Stats) int64) int64 {
	s.t.Helper()
	last, since := int64(-1), time.Now()
	scene.Until(s.t, what, func() bool {
		if now := counter(s.Stats()); now != last {
			last, since = now, time.Now()
		}
		return last >= least && time.Since(since) > 200*time.Millisecond
	})
	return last
}

// logTo is a log handler that puts each line on a board.
type logTo struct{ lines *scene.Board[string] }

func (l logTo) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l logTo) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l logTo) WithGroup(string) slog.Handler                    { return l }

func (l logTo) Handle(_ context.Context, r slog.Record) error {
	l.lines.Add(r.Message)
	return nil
}

// passes lets time go by. Only for scenes whose promise is about time, never
// to wait for something.
func passes(d time.Duration) { <-time.After(d) }

// together runs n parts of a scene at once and waits for all of them.
func together(n int, part func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() {
			if err := part(i); err != nil {
				errs[i] = fmt.Errorf("%d: %w", i, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// begins starts a part of a scene; wait gives its error.
func begins(part func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- part() }()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(scene.LongEnough):
			return errors.New("it does not end")
		}
	}
}

// peer is a client of the plainest kind.
type peer struct{ *scene.Peer }

func dial(t *testing.T, address string) *peer {
	t.Helper()
	return &peer{scene.Dial(t, address)}
}

func dialNarrow(t *testing.T, address string) *peer {
	t.Helper()
	return &peer{scene.DialNarrow(t, address)}
}

// unacked returns how many bytes of what p said the kernel at the other end has not
// taken.
func (p *peer) unacked() (n int) {
	p.T.Helper()
	conn, err := p.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		p.T.Fatal(err)
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { n, failed = sock.Unacked(int(fd)) }); err != nil || failed != nil {
		p.T.Fatal(err, failed)
	}
	return n
}

// numbered is message i of size bytes: its number, and a filling that tells
// when a piece of another message got into it.
func numbered(i, size int) []byte {
	p := fmt.Appendf(make([]byte, 0, size), "%09d ", i)
	for at := len(p); at < size; at++ {
		p = append(p, byte('a'+(i+at)%26))
	}
	return p
}

// follow reads numbered messages up to the one before end. After each, with
// its number, it calls next; one that is torn, comes twice or before its time
// is an error.
func follow(r *bufio.Reader, size, end int, next func(i int)) error {
	for last := -1; last+1 < end; {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("after message %d: %s: %w", last, scene.Brief(string(line)), err)
		}
		i, err := strconv.Atoi(string(line[:min(9, len(line))]))
		if err != nil || i <= last || !bytes.Equal(line[:len(line)-1], numbered(i, size)) {
			return fmt.Errorf("after message %d: this is none: %s", last, scene.Brief(string(line)))
		}
		last = i
		if next != nil {
			next(i)
		}
	}
	return nil
}

// followAll is follow for those who must not miss one.
func followAll(r *bufio.Reader, size, end int) error {
	n := 0
	if err := follow(r, size, end, func(int) { n++ }); err != nil {
		return err
	}
	if n != end {
		return fmt.Errorf("%d messages of %d came", n, end)
	}
	return nil
}
