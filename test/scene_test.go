//go:build unix

package hubbub_test

// This file is what the scenes of the other tests are made of:
//
//	stage     a hub that listens, what it logs, what it receives
//	peer      a client of the plainest kind; narrow ones have small buffers
//	board     a list that grows, and on which one can wait
//	numbered  messages that show by themselves whether they are whole
//
// Every wait is for something that happens; longEnough only bounds it.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example"
	"hubbub.example/internal/sock"
)

// longEnough bounds every wait. A test that passes never waits so long.
const longEnough = 30 * time.Second

// patient is a context for one test, which ends before go test loses patience.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	t.Cleanup(cancel)
	return ctx
}

// stage is a hub that listens.
type stage struct {
	*hubbub.Hub
	t      *testing.T
	at     string               // its address
	rawAt  string               // and one for raw clients only, if one was asked for
	log    *board[string]       // its log, from slog.LevelInfo up
	events *board[hubbub.Event] // what it received
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
		for e := range s.Events() {
			e.Data = bytes.Clone(e.Data)
			s.events.add(e)
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
	s := &stage{t: t, log: newBoard[string](), events: newBoard[hubbub.Event]()}
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
			t.Logf("the hub said: %s", brief(strings.Join(s.log.all(), "\n")))
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
func everyNetwork(t *testing.T, scene func(t *testing.T, address string)) {
	t.Helper()
	atBoth(t, "tcp://127.0.0.1:0", scene)
}

// atBoth runs a scene with this address and with a Unix socket.
func atBoth(t *testing.T, tcp string, scene func(t *testing.T, address string)) {
	t.Helper()
	t.Run("tcp", func(t *testing.T) {
		t.Parallel()
		scene(t, tcp)
	})
	t.Run("unix", func(t *testing.T) {
		t.Parallel()
		scene(t, unixAddress(t))
	})
}

// unixAddress is the address of a Unix socket in a folder of its own. Not
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
	until(s.t, fmt.Sprintf("%d clients have joined", n), func() bool { return s.Stats().Joins >= joins+int64(n) })
}

// has waits until there are n clients.
func (s *stage) has(n int) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("there are %d clients", n), func() bool { return s.Stats().Clients == n })
}

// logs waits for a line of the log with text in it.
func (s *stage) logs(text string) string {
	s.t.Helper()
	var found string
	s.log.when(s.t, fmt.Sprintf("a log line with %q", text), func(all []string) bool {
		i := slices.IndexFunc(all, func(line string) bool { return strings.Contains(line, text) })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// texts is the messages among events, each as "ID text".
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
	all := s.events.when(s.t, fmt.Sprintf("%d messages", len(want)), func(all []hubbub.Event) bool {
		return len(texts(all)) >= len(want)
	})
	if got := texts(all); !slices.Equal(got, want) {
		s.t.Fatalf("the hub received %s, want %s", brief(fmt.Sprint(got)), brief(fmt.Sprint(want)))
	}
}

// leaves waits until client id has left, and returns the reason.
func (s *stage) leaves(id uint64) string {
	s.t.Helper()
	var reason string
	s.events.when(s.t, fmt.Sprintf("client %d leaves", id), func(all []hubbub.Event) bool {
		i := slices.IndexFunc(all, func(e hubbub.Event) bool { return e.Kind == hubbub.Leave && e.Client == id })
		if i >= 0 {
			reason = all[i].Reason
		}
		return i >= 0
	})
	return reason
}

// isCut says that client id has left because the hub ended it.
func (s *stage) isCut(id uint64) bool {
	return slices.ContainsFunc(s.events.all(), func(e hubbub.Event) bool { return e.Kind == hubbub.Leave && e.Client == id && e.Code.Cut() })
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
	until(s.t, what, func() bool {
		if now := counter(s.Stats()); now != last {
			last, since = now, time.Now()
		}
		return last >= least && time.Since(since) > 200*time.Millisecond
	})
	return last
}

// board is a list that grows. Whoever waits for it is woken at each change.
type board[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{} // closed at the next change
}

func newBoard[T any]() *board[T] { return &board[T]{more: make(chan struct{})} }

func (b *board[T]) add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, item)
	close(b.more)
	b.more = make(chan struct{})
}

func (b *board[T]) now() ([]T, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clip(b.items), b.more
}

func (b *board[T]) all() []T {
	all, _ := b.now()
	return all
}

// when waits until ok and returns all there is.
func (b *board[T]) when(t *testing.T, what string, ok func(all []T) bool) []T {
	t.Helper()
	limit := time.After(longEnough)
	for {
		all, more := b.now()
		if ok(all) {
			return all
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("still waiting for %s among %d", what, len(all))
		}
	}
}

// logTo is a log handler that puts each line on a board.
type logTo struct{ lines *board[string] }

func (l logTo) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l logTo) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l logTo) WithGroup(string) slog.Handler                    { return l }

func (l logTo) Handle(_ context.Context, r slog.Record) error {
	l.lines.add(r.Message)
	return nil
}

// until looks again and again until ok: for what nobody tells of, like a
// counter or what the kernel knows.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	limit := time.After(longEnough)
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("still waiting until %s", what)
		}
	}
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
		case <-time.After(longEnough):
			return errors.New("it does not end")
		}
	}
}

// peer is a client of the plainest kind.
type peer struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// dial connects a client.
func dial(t *testing.T, address string) *peer {
	t.Helper()
	return dialAs(t, address, nil)
}

// dialNarrow connects a client as it would be behind an ordinary network: the
// loopback's huge segments and buffers would hide that it does not read.
func dialNarrow(t *testing.T, address string) *peer {
	t.Helper()
	return dialAs(t, address, narrow(address))
}

// narrow makes a socket so before it connects to address.
func narrow(address string) func(fd int) error {
	return func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			return err
		}
		if strings.HasPrefix(address, "unix:") {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1448)
	}
}

func dialAs(t *testing.T, address string, prepare func(fd int) error) *peer {
	t.Helper()
	c, err := connect(address, prepare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, Conn: c, r: bufio.NewReader(c)}
}

// connect is dial for those who are not the test's own goroutine.
func connect(address string, prepare func(fd int) error) (net.Conn, error) {
	d := net.Dialer{Timeout: longEnough, KeepAlive: -1}
	if prepare != nil {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			return errors.Join(c.Control(func(fd uintptr) { err = prepare(int(fd)) }), err)
		}
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := d.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(longEnough))
}

// says sends text.
func (p *peer) says(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// hears waits for exactly this.
func (p *peer) hears(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.r, got)
	if string(got[:n]) != want {
		p.t.Fatalf("a client got %s (%v), want %s", brief(string(got[:n])), err, brief(want))
	}
}

// hearsEnd waits for the end of file, and for nothing before it.
func (p *peer) hearsEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("a client got %s (%v), want the end of file", brief(string(rest)), err)
	}
}

// done half-closes: nothing more will be said.
func (p *peer) done() {
	p.t.Helper()
	if err := endSending(p.Conn); err != nil {
		p.t.Fatal(err)
	}
}

func endSending(c net.Conn) error {
	return c.(interface{ CloseWrite() error }).CloseWrite()
}

// unacked is how many bytes of what p said the kernel at the other end has not
// taken.
func (p *peer) unacked() (n int) {
	p.t.Helper()
	conn, err := p.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		p.t.Fatal(err)
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { n, failed = sock.Unacked(int(fd)) }); err != nil || failed != nil {
		p.t.Fatal(err, failed)
	}
	return n
}

// reset leaves with a reset, as a program that is killed with input unread does.
func (p *peer) reset() {
	p.t.Helper()
	if err := reset(p.Conn); err != nil {
		p.t.Fatal(err)
	}
}

func reset(c net.Conn) error {
	if tcp, ok := c.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return c.Close()
}

// descriptor is c's, for a look at it.
func descriptor(c net.Conn) (int, error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	err = raw.Control(func(at uintptr) { fd = int(at) })
	return fd, err
}

// arrived is how many bytes wait to be read by p.
func arrived(t *testing.T, p *peer) int {
	t.Helper()
	fd, err := descriptor(p.Conn)
	if err != nil {
		t.Fatal(err)
	}
	n, _, err := unix.Recvfrom(fd, make([]byte, 1<<20), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return max(n, 0)
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
			return fmt.Errorf("after message %d: %s: %w", last, brief(string(line)), err)
		}
		i, err := strconv.Atoi(string(line[:min(9, len(line))]))
		if err != nil || i <= last || !bytes.Equal(line[:len(line)-1], numbered(i, size)) {
			return fmt.Errorf("after message %d: this is none: %s", last, brief(string(line)))
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

// brief is text as a failure can show it.
func brief(text string) string {
	const most = 300
	if len(text) <= 2*most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%d bytes, %q ... %q", len(text), text[:most], text[len(text)-most:])
}
