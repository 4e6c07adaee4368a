package join

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hubbub.example/internal/backoff"
)

// longEnough bounds every wait. A test that passes never waits so long.
const longEnough = 2 * time.Minute

// server is a listening socket of the test's.
type server struct {
	t *testing.T
	net.Listener
}

func listen(t *testing.T, address string) *server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &server{t, l}
}

// peer is the server's end of a connection.
type peer struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func (s *server) accept() *peer {
	s.t.Helper()
	_ = s.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(longEnough))
	c, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(longEnough))
	return &peer{s.t, c.(*net.TCPConn), bufio.NewReader(c)}
}

// connected accepts j, and waits until j knows: a connection that breaks
// before is one that could not be made.
func (s *server) connected(j *joined) *peer {
	s.t.Helper()
	p := s.accept()
	j.log.await(s.t, "connected to")
	return p
}

// acceptsNoMore checks that nobody connects for a moment.
func (s *server) acceptsNoMore() {
	s.t.Helper()
	_ = s.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(100 * time.Millisecond))
	if c, err := s.Accept(); err == nil {
		_ = c.Close()
		s.t.Error("the client came back")
	}
}

func (p *peer) says(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hears(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); string(got[:n]) != want {
		p.t.Fatalf("the server got %s (%v), want %s", clip(string(got[:n])), err, clip(want))
	}
}

func (p *peer) hearsEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("the server got %s (%v), want the end of file", clip(string(rest)), err)
	}
}

// clip is s for an error message.
func clip(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%q... (%d bytes)", s[:200], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// hearsNothing checks that nothing comes for a moment, not even the end.
func (p *peer) hearsNothing() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if c, err := p.r.ReadByte(); !isTimeout(err) {
		p.t.Fatalf("the server got %q (%v), want nothing", c, err)
	}
	_ = p.SetReadDeadline(time.Now().Add(longEnough))
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func (p *peer) endsSending() {
	p.t.Helper()
	if err := p.CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

// resets breaks the connection.
func (p *peer) resets() {
	p.t.Helper()
	_ = p.SetLinger(0)
	_ = p.Close()
}

// joined is a client that runs.
type joined struct {
	t      *testing.T
	stdin  *io.PipeWriter
	stdout *output
	log    *output
	stop   context.CancelFunc
	ended  chan error
}

// start joins s. What o leaves open is a STDIN that the test writes, a STDOUT
// that it reads, and short waits.
func start(t *testing.T, s *server, o Options) *joined {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr().String())
	o.Address = Address{Network: "tcp", Host: host, Port: port, Protocol: o.Address.Protocol}
	return startAt(t, o)
}

// meet starts a client, and a server of its own that it has come to.
func meet(t *testing.T, o Options) (*server, *joined, *peer) {
	t.Helper()
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, o)
	p := s.accept()
	return s, j, p
}

func startAt(t *testing.T, o Options) *joined {
	t.Helper()
	j := &joined{t: t, stdout: newOutput(), log: newOutput(), ended: make(chan error, 1)}
	if o.Stdin == nil {
		r, w := io.Pipe()
		o.Stdin, j.stdin = r, w
		t.Cleanup(func() { _ = w.Close() })
	}
	if o.Stdout == nil {
		o.Stdout = j.stdout
	}
	if o.FirstWait == 0 {
		o.FirstWait, o.LongestWait = time.Millisecond, 20*time.Millisecond
	}
	o.Log = slog.New(slog.NewTextHandler(j.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, stop := context.WithCancel(context.Background())
	j.stop = stop
	go func() { j.ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the client's log:\n%s", j.log.text())
		}
	})
	return j
}

// says gives text to STDIN and waits until the ring has it: nothing more is
// read before.
func (j *joined) says(text string) {
	j.t.Helper()
	for _, s := range []string{text, ""} {
		if _, err := io.WriteString(j.stdin, s); err != nil {
			j.t.Fatal(err)
		}
	}
}

// ends waits for Run's end and returns what it says.
func (j *joined) ends() error {
	j.t.Helper()
	select {
	case err := <-j.ended:
		return err
	case <-time.After(longEnough):
		j.t.Fatal("Run does not end")
		return nil
	}
}

func (j *joined) endsWell() {
	j.t.Helper()
	if err := j.ends(); err != nil {
		j.t.Fatal(err)
	}
}

func (j *joined) failsWith(want string) {
	j.t.Helper()
	if err := j.ends(); err == nil || !strings.Contains(err.Error(), want) {
		j.t.Fatalf("Run says %v, want in it %q", err, want)
	}
}

// endsWith is failsWith, or endsWell if want is "".
func (j *joined) endsWith(want string) {
	j.t.Helper()
	if want == "" {
		j.endsWell()
	} else {
		j.failsWith(want)
	}
}

// losesServer has s, and its connection p, be gone, and waits until that has
// been found out.
func (j *joined) losesServer(s *server, p *peer) {
	j.t.Helper()
	_ = s.Close()
	p.resets()
	j.log.await(j.t, "refused")
}

func (j *joined) runs() {
	j.t.Helper()
	select {
	case err := <-j.ended:
		j.t.Fatalf("Run has ended: %v", err)
	default:
	}
}

// output collects what is written to it.
type output struct {
	mu      sync.Mutex
	changed *sync.Cond
	data    []byte
}

func newOutput() *output {
	o := &output{}
	o.changed = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p...)
	o.changed.Broadcast()
	return len(p), nil
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.data)
}

// await waits until text is among what was written.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	late := time.AfterFunc(longEnough, o.changed.Broadcast)
	defer late.Stop()
	deadline := time.Now().Add(longEnough)
	o.mu.Lock()
	defer o.mu.Unlock()
	for !bytes.Contains(o.data, []byte(text)) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %q in %q", text, o.data)
		}
		o.changed.Wait()
	}
}

// is waits until want is there, and finds out whether anything else is.
func (o *output) is(t *testing.T, want string) {
	t.Helper()
	o.await(t, want)
	if got := o.text(); got != want {
		t.Errorf("it got %s, want %s", clip(got), clip(want))
	}
}

// blockedWriter is a STDOUT that nobody reads until it is released.
type blockedWriter struct {
	*output
	release, blocked chan struct{}
	once             sync.Once
}

func newBlockedWriter() *blockedWriter {
	return &blockedWriter{output: newOutput(), release: make(chan struct{}), blocked: make(chan struct{})}
}

func (b *blockedWriter) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.blocked) })
	<-b.release
	return b.output.Write(p)
}

func TestBothWaysAtOnce(t *testing.T) {
	_, j, p := meet(t, Options{})
	p.says("from the server\n")
	j.stdout.await(t, "from the server\n")
	j.says("from STDIN\n")
	p.hears("from STDIN\n")
	j.says("half a li")
	p.hears("half a li")
	p.says("a prompt: ")
	j.stdout.await(t, "a prompt: ")
}

// A STDOUT that nobody reads stops no sending.
func TestNothingWaitsForStdout(t *testing.T) {
	out := newBlockedWriter()
	_, j, p := meet(t, Options{Stdout: out})
	p.says("something to print\n")
	await(t, out.blocked, "a blocked STDOUT")
	text := strings.Repeat("a line of STDIN\n", 500_000) // 8 MB: more than anybody keeps
	go func() {
		_, _ = io.WriteString(j.stdin, text)
		_ = j.stdin.Close()
	}()
	p.hears(text)
	p.hearsEnd()
	close(out.release)
	p.says("the last\n")
	_ = p.Close()
	j.endsWell()
	out.is(t, "something to print\nthe last\n")
}

// A server that does not read stops no printing, and STDIN is not read for it
// without bound.
func TestNothingWaitsForServerThatDoesNotRead(t *testing.T) {
	in := newEndless()
	_, j, p := meet(t, Options{Stdin: in})
	_ = p.SetReadBuffer(4096)
	in.awaitPause(t)
	for i := range 1000 {
		p.says(fmt.Sprintf("%d\n", i))
	}
	j.stdout.await(t, "\n999\n")
	if n := in.n.Load(); n > ringSize+16<<20 {
		t.Errorf("%d bytes of STDIN were read for a server that takes none", n)
	}
	p.resets()
}

// endless is a STDIN that never lacks a line.
type endless struct {
	n    atomic.Int64 // bytes it gave
	kept atomic.Int64 // of these, how many are surely in the ring
	read chan struct{}
}

func newEndless() *endless { return &endless{read: make(chan struct{}, 1)} }

func (e *endless) Read(p []byte) (int, error) {
	e.kept.Store(e.n.Load())
	for i := range p {
		p[i] = 'x'
	}
	p[len(p)-1] = '\n'
	e.n.Add(int64(len(p)))
	select {
	case e.read <- struct{}{}:
	default:
	}
	return len(p), nil
}

// awaitPause waits until it has not been read for a while.
func (e *endless) awaitPause(t *testing.T) {
	t.Helper()
	late := time.After(longEnough)
	for {
		select {
		case <-e.read:
		case <-time.After(300 * time.Millisecond):
			return
		case <-late:
			t.Fatal("STDIN is read without end")
		}
	}
}

func TestJoinComesBackAfterRestart(t *testing.T) {
	for name, down := range map[string]func(*peer){
		"orderly": func(p *peer) { _ = p.Close() },
		"crash":   (*peer).resets,
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			p.says("one\n")
			j.stdout.await(t, "one\n")
			_ = s.Close()
			down(p)
			j.log.await(t, "trying again")
			j.log.await(t, "refused")
			s = listen(t, s.Addr().String())
			p = s.accept()
			p.says("two\n")
			j.stdout.await(t, "one\ntwo\n")
			j.says("three\n")
			p.hears("three\n")
			j.log.await(t, "back at "+s.Addr().String())
		})
	}
}

// waits are the times between so many attempts, of which the log tells.
func (j *joined) waits(n int) (all []time.Duration) {
	j.t.Helper()
	eventually(j.t, fmt.Sprintf("%d waits", n), func() bool {
		all = nil
		for _, after := range strings.Split(j.log.text(), "trying again in ")[1:] {
			text, _, _ := strings.Cut(after, "\"")
			d, err := time.ParseDuration(text)
			if err != nil {
				j.t.Fatal(err)
			}
			all = append(all, d)
		}
		return len(all) >= n
	})
	return all
}

// However short connections are: as long as something comes of each, the next
// is made soon.
func TestConnectionsOfUseAreMadeAgainSoon(t *testing.T) {
	const first, breaks = 15 * time.Millisecond, 8
	for name, use := range map[string]func(*server, *joined, int){
		"raw": func(s *server, j *joined, n int) {
			p := s.accept()
			p.says(fmt.Sprintf("%d\n", n))
			j.stdout.await(t, fmt.Sprintf("%d\n", n))
			p.resets()
		},
		"a message": func(s *server, _ *joined, n int) {
			p := s.greets(fmt.Sprintf(`"seq":%d`, n))
			p.tells(message(n+1, "x"))
			p.goodbye(1001, "")
		},
		"skipped": func(s *server, _ *joined, n int) {
			p := s.greets(fmt.Sprintf(`"seq":%d`, n))
			p.tells(fmt.Sprintf(`{"type":"skipped","count":1,"seq":%d}`, n+1))
			p.goodbye(1001, "")
		},
		"a receipt": func(s *server, j *joined, n int) {
			p := s.greets(fmt.Sprintf(`"ack":%d`, n))
			j.says("x\n")
			p.told(fmt.Sprintf(`{"type":"message","n":%d,"text":"x"}`, n+1))
			p.tells(fmt.Sprintf(`{"type":"ack","n":%d}`, n+1))
			p.goodbye(1001, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, "127.0.0.1:0")
			o := Options{FirstWait: first, LongestWait: time.Minute}
			if name != "raw" {
				o.WebSocket = openSocket
			}
			j := start(t, s, o)
			for n := range breaks {
				use(s, j, n)
			}
			s.accept()
			waits := j.waits(breaks)
			if len(waits) != breaks || slices.Max(waits) > first*4/3+time.Millisecond {
				t.Errorf("it waited %v", waits)
			}
		})
	}
}

// A server that accepts, and closes or just greets, is left alone for longer
// and longer, but not for longer than it may be.
func TestConnectionsOfNoUseAreMadeMoreAndMoreSeldom(t *testing.T) {
	const first, longest, breaks = 3 * time.Millisecond, 48 * time.Millisecond, 30
	for name, use := range map[string]func(*server, *joined){
		"resets":       func(s *server, j *joined) { s.connected(j).resets() },
		"greets":       func(s *server, _ *joined) { s.greets(`"seq":5`).goodbye(1001, "") },
		"greets anew":  func(s *server, _ *joined) { s.greets(`"epoch":"`+rand.Text()+`"`).goodbye(1001, "") },
		"only a pulse": func(s *server, _ *joined) { p := s.greets(""); p.tells(`{"type":"heartbeat"}`); p.goodbye(1001, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, "127.0.0.1:0")
			o := Options{FirstWait: first, LongestWait: longest}
			if name != "resets" {
				o.WebSocket = openSocket
			}
			j := start(t, s, o)
			for range breaks {
				use(s, j)
			}
			s.accept()
			waits := j.waits(breaks)
			if len(waits) != breaks || slices.Max(waits) > longest || slices.Min(waits[10:]) < longest/2 {
				t.Errorf("it waited %v", waits)
			}
		})
	}
}

// By default the first wait is short, and none is longer than half a minute.
func TestWaitsByDefault(t *testing.T) {
	o := Options{}.withDefaults()
	for range 1000 {
		w := backoff.New(o.FirstWait, o.LongestWait, minUptime)
		if d := w.Next(0); d < 100*time.Millisecond || d > 500*time.Millisecond {
			t.Fatalf("the first wait is %v", d)
		}
		for range 20 {
			if d := w.Next(0); d > 30*time.Second {
				t.Fatalf("it waits %v", d)
			}
		}
	}
}

// Whoever ends STDIN with nothing more to say is not kept by a long wait.
func TestStdinThatEndsDuringAWaitEndsIt(t *testing.T) {
	s, j, p := meet(t, Options{FirstWait: time.Hour, LongestWait: time.Hour})
	j.says("all\n")
	p.hears("all\n")
	p.says("x")
	j.stdout.await(t, "x")
	_ = p.Close()
	j.log.await(t, "trying again")
	_ = j.stdin.Close()
	j.endsWell()
	s.acceptsNoMore()
}

// What STDIN gives while there is no connection is kept, and sent in order.
func TestMessagesOfTheMeantimeAreSent(t *testing.T) {
	s, j, p := meet(t, Options{})
	j.says("before\n")
	p.hears("before\n")
	p.says("x")
	j.stdout.await(t, "x")
	j.losesServer(s, p)
	want := ""
	for i := range 1000 {
		line := fmt.Sprintf("meanwhile %d\n", i)
		j.says(line)
		want += line
	}
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.hears(want)
	j.says("after\n")
	p.hears("after\n")
}

// Past the bound STDIN is not read; nothing of it is lost.
func TestTooMuchInTheMeantimePushesBack(t *testing.T) {
	s, j, p := meet(t, Options{})
	j.log.await(t, "connected to")
	j.losesServer(s, p)
	const lines = 20_000
	line := strings.Repeat("y", 99) + "\n"
	var given int
	fed := make(chan struct{})
	var mu sync.Mutex
	go func() {
		defer close(fed)
		for range lines {
			if _, err := io.WriteString(j.stdin, line); err != nil {
				return
			}
			mu.Lock()
			given += len(line)
			mu.Unlock()
		}
		_ = j.stdin.Close()
	}()
	j.log.await(t, "reading pauses until the server is back")
	mu.Lock()
	if given > ringSize {
		t.Errorf("%d bytes were taken from STDIN, the bound is %d", given, ringSize)
	}
	mu.Unlock()
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.hears(strings.Repeat(line, lines))
	p.hearsEnd()
	await(t, fed, "STDIN's end")
}

// A message that a break cut in two comes whole on the next connection.
func TestMessageCutByTheBreakIsSentWhole(t *testing.T) {
	s, j, p := meet(t, Options{})
	j.says("whole\nfirst half, ")
	p.hears("whole\nfirst half, ")
	p.resets()
	p = s.accept()
	j.says("second half\n")
	p.hears("first half, second half\n")
}

// The test's connection never writes, which is what a watcher must not be
// closed for; its STDIN was at its end before it began.
func TestWatcherDoesNotHalfClose(t *testing.T) {
	s, j, p := meet(t, Options{Stdin: strings.NewReader("")})
	p.says("one\n")
	j.stdout.await(t, "one\n")
	p.hearsNothing()
	p.says("two\n")
	j.stdout.await(t, "one\ntwo\n")
	_ = p.Close()
	p = s.accept() // and it comes back
	p.says("three\n")
	j.stdout.await(t, "three\n")
	j.runs()
}

func TestHalfClosePrintsWhatStillComes(t *testing.T) {
	s, j, p := meet(t, Options{Stdin: strings.NewReader("question")})
	p.hears("question") // as it is: no newline of ours
	p.hearsEnd()
	p.says("ans")
	j.stdout.await(t, "ans")
	j.runs()
	p.says("wer")
	_ = p.Close()
	j.endsWell()
	j.stdout.is(t, "answer")
	s.acceptsNoMore()
}

func TestStayTellsNobodyOfStdinsEnd(t *testing.T) {
	_, j, p := meet(t, Options{Stdin: strings.NewReader("one\ntwo"), EOF: Stay})
	p.hears("one\ntwo\n") // completed: the server sees no end that would do it
	p.hearsNothing()
	p.says("still here\n")
	j.stdout.await(t, "still here\n")
	j.runs()
	_ = p.Close()
	j.endsWell()
}

func TestExitLeavesOnceAllIsSent(t *testing.T) {
	text := strings.Repeat("a line to deliver\n", 100_000)
	_, j, p := meet(t, Options{Stdin: strings.NewReader(text), EOF: Exit})
	p.says("noise\n")
	p.hears(text)
	p.hearsEnd()
	// The server says nothing and does not close: the client is done all the same.
	j.endsWell()
}

func TestExitWithoutAnythingToSay(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{Stdin: strings.NewReader(""), EOF: Exit})
	s.accept().hearsEnd()
	j.endsWell()
}

// Once the end of STDIN has been sent, a break is for good.
func TestNoComingBackOnceStdinHasEnded(t *testing.T) {
	s, j, p := meet(t, Options{Stdin: strings.NewReader("all\n")})
	p.hears("all\n")
	p.hearsEnd()
	p.resets()
	j.failsWith("reset")
	s.acceptsNoMore()
}

// What STDIN gave is sent even if STDIN ends before the server is back.
func TestStdinThatEndsInTheMeantimeIsSent(t *testing.T) {
	s, j, p := meet(t, Options{})
	j.log.await(t, "connected to")
	j.losesServer(s, p)
	j.says("late\n")
	_ = j.stdin.Close()
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.hears("late\n")
	p.hearsEnd()
	_ = p.Close()
	j.endsWell()
}

// If it had nothing more to say, there is nothing to come back for: all is
// well if the connection did not break.
func TestStdinThatEndsInTheMeantimeWithNothingMoreIsTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*peer)
		fail string
	}{
		"orderly": {func(p *peer) { _ = p.Close() }, ""},
		"crash":   {(*peer).resets, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			j.says("all\n")
			p.hears("all\n")
			p.says("x")
			j.stdout.await(t, "x")
			_ = s.Close()
			c.end(p)
			j.log.await(t, "refused")
			j.runs()
			_ = j.stdin.Close()
			j.endsWith(c.fail)
		})
	}
}

func TestOnceDoesNotComeBack(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*peer)
		fail string
	}{
		"orderly": {func(p *peer) { _ = p.Close() }, ""},
		"crash":   {(*peer).resets, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{Once: true, Input: Terminal})
			p.says("x")
			j.stdout.await(t, "x")
			c.end(p)
			j.endsWith(c.fail)
			s.acceptsNoMore()
		})
	}
}

// Everything the server sent is on STDOUT before Run ends, however slow
// STDOUT is.
func TestEverythingIsPrintedBeforeTheEnd(t *testing.T) {
	out := newBlockedWriter()
	_, j, p := meet(t, Options{Stdin: strings.NewReader("?"), Stdout: out})
	p.hearsEndAfter("?")
	text := strings.Repeat("an answer's line\n", 100_000)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(p, text)
		_ = p.Close()
	}()
	await(t, out.blocked, "a blocked STDOUT")
	j.runs()
	close(out.release)
	j.endsWell()
	await(t, sent, "the server")
	if got := out.text(); got != text {
		t.Errorf("STDOUT got %d bytes of %d", len(got), len(text))
	}
}

func (p *peer) hearsEndAfter(text string) {
	p.t.Helper()
	p.hears(text)
	p.hearsEnd()
}

// A server that ends its side at once only listens: it is told all the same.
func TestServerThatOnlyListensIsSentAll(t *testing.T) {
	s, j, p := meet(t, Options{})
	p.endsSending()
	for i := range 100 {
		j.says(fmt.Sprintf("%d\n", i))
		p.hears(fmt.Sprintf("%d\n", i))
	}
	_ = j.stdin.Close()
	p.hearsEnd()
	_ = p.Close()
	j.endsWell()
	s.acceptsNoMore()
}

// Two files are exchanged, and the server's is shorter.
func TestFileIsSentPastTheServersEnd(t *testing.T) {
	text := strings.Repeat("a file's line\n", 500_000)
	_, j, p := meet(t, Options{Stdin: strings.NewReader(text), Input: File})
	p.says("theirs\n")
	p.endsSending()
	p.hears(text)
	p.hearsEnd()
	_ = p.Close()
	j.endsWell()
	j.stdout.is(t, "theirs\n")
}

func TestStdoutLostEndsTheClient(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{Stdout: lostWriter{}})
	s.accept().says("x")
	j.failsWith("write STDOUT: io: read/write on closed pipe")
}

// STDOUT's loss is noticed although nothing comes that could be written.
func TestStdoutLostIsNoticedWhileNothingComes(t *testing.T) {
	for name, before := range map[string]func(*testing.T, *server, *joined){
		"connected": func(_ *testing.T, s *server, _ *joined) { s.accept() },
		"trying again": func(_ *testing.T, s *server, j *joined) {
			p := s.connected(j)
			j.losesServer(s, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			lost := make(chan error, 1)
			j := start(t, s, Options{Lost: lost})
			before(t, s, j)
			lost <- io.ErrClosedPipe
			j.failsWith("write STDOUT: io: read/write on closed pipe")
		})
	}
}

func TestStopDeliversWhatThereIs(t *testing.T) {
	text := strings.Repeat("a line to deliver\n", 10_000)
	_, j, p := meet(t, Options{})
	j.log.await(t, "connected to")
	j.says(text)
	j.stop()
	p.hears(text)
	p.hearsEnd()
	p.says("goodbye\n")
	_ = p.Close()
	j.endsWell()
	j.stdout.is(t, "goodbye\n")
}

// Neither a server that takes nothing nor a STDOUT that takes nothing keeps a
// client that was told to stop; it says if not all was sent.
func TestStopDoesNotWaitForTheStuck(t *testing.T) {
	in, out := newEndless(), newBlockedWriter()
	defer close(out.release)
	_, j, p := meet(t, Options{Stdin: in, Stdout: out})
	p.says("x")
	await(t, out.blocked, "a blocked STDOUT")
	if _, err := p.r.Peek(1); err != nil {
		t.Fatal(err)
	}
	in.awaitPause(t)
	j.stop()
	err := j.ends()
	took, _ := io.Copy(io.Discard, p.r)
	said := err != nil && strings.Contains(err.Error(), "bytes of STDIN not sent")
	if said && took == in.n.Load() || !said && took < in.kept.Load() {
		t.Errorf("the server could take %d bytes of %d, and Run says %v", took, in.n.Load(), err)
	}
}

func TestStopWhileTryingAgain(t *testing.T) {
	for name, c := range map[string]struct{ kept, fail string }{
		"nothing kept":   {"", ""},
		"something kept": {"late\n", "5 bytes of STDIN not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			j.log.await(t, "connected to")
			j.losesServer(s, p)
			if c.kept != "" {
				j.says(c.kept)
			}
			j.stop()
			j.endsWith(c.fail)
		})
	}
}

// A watcher has nothing to deliver and waits for nothing. (On a busy machine
// not every try is quick.)
func TestStopEndsAWatcherAtOnce(t *testing.T) {
	quickest := time.Hour
	for range 20 {
		_, j, p := meet(t, Options{Stdin: strings.NewReader("")})
		p.says("x")
		j.stdout.await(t, "x")
		began := time.Now()
		j.stop()
		j.endsWell()
		p.hearsEnd()
		if quickest = min(quickest, time.Since(began)); quickest < grace/2 {
			return
		}
	}
	t.Errorf("it took %v at best", quickest)
}

// A line that a break cut short does not run into the next.
func TestLineCutByTheBreakEndsBeforeTheNext(t *testing.T) {
	s, j, p := meet(t, Options{})
	p.says("whole\ncut sho")
	j.stdout.await(t, "cut sho")
	p.resets()
	s.accept().says("next\n")
	j.stdout.await(t, "whole\ncut sho\nnext\n")
	j.log.await(t, "broke inside a message")
}

// With STDOUT blocked a break is still mended, for the sake of what is to be
// sent; what came before it is printed first.
func TestBlockedStdoutDoesNotKeepFromComingBack(t *testing.T) {
	out := newBlockedWriter()
	s, j, p := meet(t, Options{Stdout: out})
	p.says("before\n")
	await(t, out.blocked, "a blocked STDOUT")
	p.says("also before\n")
	p.endsUnheard(j)
	p = s.accept()
	p.says("after\n")
	j.says("the last\n")
	p.awaits("the last\n")
	close(out.release)
	out.await(t, "after\n")
	out.is(t, "before\nalso before\nafter\n")
}

// endsUnheard ends the connection, and has the client find out by sending:
// reading it does not.
func (p *peer) endsUnheard(j *joined) {
	p.t.Helper()
	_ = p.Close()
	eventually(p.t, "the client to notice that it sends to nobody", func() bool {
		j.says("lost\n")
		return strings.Contains(j.log.text(), "trying again")
	})
}

// eventually waits for what no event tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(longEnough)
	for !ok() {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaits reads up to this.
func (p *peer) awaits(want string) {
	p.t.Helper()
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		if line == want {
			return
		}
	}
}

// The system calls the server silent twice: that is a break.
func TestSilentServerIsGivenUp(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	var mu sync.Mutex
	silent := false
	j := start(t, s, Options{
		HealthEvery: 60 * time.Millisecond,
		Health: func(net.Conn) Health {
			mu.Lock()
			defer mu.Unlock()
			return Health{Silent: silent}
		},
	})
	p := s.accept()
	p.says("one\n")
	j.stdout.await(t, "one\n")
	mu.Lock()
	silent = true
	mu.Unlock()
	p = s.accept()
	mu.Lock()
	silent = false
	mu.Unlock()
	p.says("two\n")
	j.stdout.await(t, "one\ntwo\n")
	j.log.await(t, "the server does not answer any more")
}

// The first connection is not tried again, and STDIN is not touched for it.
func TestFirstConnectionMustSucceed(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	_ = s.Close()
	in := strings.NewReader("for whom?\n")
	j := start(t, s, Options{Stdin: in})
	j.failsWith(fmt.Sprintf("dial tcp %s: connect: connection refused", s.Addr()))
	if in.Len() != len("for whom?\n") {
		t.Error("STDIN was read")
	}
}

func TestRecordsStayWholeAcrossABreak(t *testing.T) {
	s, j, p := meet(t, Options{Frame: 4})
	p.says("abcdef")
	j.stdout.await(t, "abcd")
	j.says("12345678abc")
	p.hears("12345678abc")
	p.resets()
	p = s.accept()
	p.says("ijkl")
	j.stdout.await(t, "abcdijkl")
	j.says("d")
	p.hears("abcd")
}

// Nothing is left behind by connections that came and went.
func TestNothingPilesUp(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{})
	turn := func() {
		p := s.accept()
		p.says("x\n")
		j.says("y\n")
		p.hears("y\n")
		p.resets()
	}
	turn()
	before := runtime.NumGoroutine()
	for range 100 {
		turn()
	}
	p := s.accept()
	p.says("settled\n")
	j.stdout.await(t, "settled\n")
	eventually(t, "the goroutines of old connections to end", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// A log that nobody reads stops nothing.
func TestBlockedLogStopsNothing(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	host, port, _ := net.SplitHostPort(s.Addr().String())
	log := newBlockedWriter()
	defer close(log.release)
	out := newOutput()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Address: Address{Network: "tcp", Host: host, Port: port}, Stdin: strings.NewReader(""), Stdout: out,
			FirstWait: time.Millisecond, LongestWait: time.Millisecond,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	p := s.accept()
	p.says("there\n")
	out.await(t, "there\n")
	p.resets()
	for range 200 {
		s.accept().resets()
	}
	await(t, log.blocked, "a blocked log")
	s.accept().says("still here\n")
	out.await(t, "still here\n")
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(longEnough):
		t.Fatal("Run does not end")
	}
}
