package join

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hubbub.example/internal/backoff"
	"hubbub.example/internal/scene"
)

func TestMain(m *testing.M) {
	scene.AtOnce(6)
	os.Exit(m.Run())
}

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
type peer struct{ *scene.Peer }

func (s *server) accept() *peer {
	s.t.Helper()
	_ = s.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(scene.LongEnough))
	c, err := s.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	return &peer{scene.NewPeer(s.t, c)}
}

// connected accepts j, and waits until j knows: a connection that breaks
// before is one that could not be made.
func (s *server) connected(j *joined) *peer {
	s.t.Helper()
	p := s.accept()
	j.log.Until(s.t, "connected to")
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

// hearsNothing checks that nothing comes for a moment, not even the end.
func (p *peer) hearsNothing() {
	p.T.Helper()
	_ = p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if c, err := p.R.ReadByte(); !isTimeout(err) {
		p.T.Fatalf("the server got %q (%v), want nothing", c, err)
	}
	_ = p.SetReadDeadline(time.Now().Add(scene.LongEnough))
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// joined is a client that runs.
type joined struct {
	t      *testing.T
	stdin  *io.PipeWriter
	stdout *scene.Output
	log    *scene.Output
	stop   context.CancelFunc
	ended  chan error
}

// start joins s. What o leaves open is a STDIN that the test writes, a STDOUT
// that it reads, and short waits.
func start(t *testing.T, s *server, o Options) *joined {
	t.Helper()
	scheme := o.Address.Scheme
	o.Address, _ = ParseAddress(s.Addr().String())
	o.Address.Scheme = scheme
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
	j := &joined{t: t, stdout: &scene.Output{}, log: &scene.Output{}, ended: make(chan error, 1)}
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
			t.Logf("the client's log:\n%s", j.log.Text())
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
	return scene.Next(j.t, j.ended, "the end of Run")
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
	p.Reset()
	j.log.Until(j.t, "refused")
}

func (j *joined) runs() {
	j.t.Helper()
	select {
	case err := <-j.ended:
		j.t.Fatalf("Run has ended: %v", err)
	default:
	}
}

// blockedWriter is a STDOUT that nobody reads until it is released.
type blockedWriter struct {
	*scene.Output
	release, blocked chan struct{}
	once             sync.Once
}

func newBlockedWriter() *blockedWriter {
	return &blockedWriter{Output: &scene.Output{}, release: make(chan struct{}), blocked: make(chan struct{})}
}

func (b *blockedWriter) Write(p []byte) (int, error) {
	b.once.Do(func() { close(b.blocked) })
	<-b.release
	return b.Output.Write(p)
}

func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	_, j, p := meet(t, Options{})
	p.Says("from the server\n")
	j.stdout.Until(t, "from the server\n")
	j.says("from STDIN\n")
	p.Hears("from STDIN\n")
	j.says("half a li")
	p.Hears("half a li")
	p.Says("a prompt: ")
	j.stdout.Until(t, "a prompt: ")
}

// A STDOUT that nobody reads stops no sending.
func TestNothingWaitsForStdout(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	_, j, p := meet(t, Options{Stdout: out})
	p.Says("something to print\n")
	await(t, out.blocked, "a blocked STDOUT")
	text := strings.Repeat("a line of STDIN\n", 500_000) // 8 MB: more than anybody keeps
	go func() {
		_, _ = io.WriteString(j.stdin, text)
		_ = j.stdin.Close()
	}()
	p.Hears(text)
	p.HearsEnd()
	close(out.release)
	p.Says("the last\n")
	_ = p.Close()
	j.endsWell()
	out.Is(t, "something to print\nthe last\n")
}

// A server that does not read stops no printing, and STDIN is not read for it
// without bound.
func TestNothingWaitsForServerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	in := newEndless()
	_, j, p := meet(t, Options{Stdin: in})
	_ = p.Conn.(*net.TCPConn).SetReadBuffer(4096)
	in.awaitPause(t)
	for i := range 1000 {
		p.Says(fmt.Sprintf("%d\n", i))
	}
	j.stdout.Until(t, "\n999\n")
	if n := in.n.Load(); n > ringSize+16<<20 {
		t.Errorf("%d bytes of STDIN were read for a server that takes none", n)
	}
	p.Reset()
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
	late := time.After(scene.LongEnough)
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
	t.Parallel()
	for name, down := range map[string]func(*peer){
		"orderly": func(p *peer) { _ = p.Close() },
		"crash":   (*peer).Reset,
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			p.Says("one\n")
			j.stdout.Until(t, "one\n")
			_ = s.Close()
			down(p)
			j.log.Until(t, "trying again")
			j.log.Until(t, "refused")
			s = listen(t, s.Addr().String())
			p = s.accept()
			p.Says("two\n")
			j.stdout.Until(t, "one\ntwo\n")
			j.says("three\n")
			p.Hears("three\n")
			j.log.Until(t, "back at "+s.Addr().String())
		})
	}
}

// waits are the times between so many attempts, of which the log tells.
func (j *joined) waits(n int) (all []time.Duration) {
	j.t.Helper()
	scene.Until(j.t, fmt.Sprintf("it has waited %d times", n), func() bool {
		all = nil
		for _, after := range strings.Split(j.log.Text(), "trying again in ")[1:] {
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
	t.Parallel()
	const first, breaks = 15 * time.Millisecond, 8
	for name, use := range map[string]func(*server, *joined, int){
		"raw": func(s *server, j *joined, n int) {
			p := s.accept()
			p.Says(fmt.Sprintf("%d\n", n))
			j.stdout.Until(t, fmt.Sprintf("%d\n", n))
			p.Reset()
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
	t.Parallel()
	const first, longest, breaks = 3 * time.Millisecond, 48 * time.Millisecond, 30
	for name, use := range map[string]func(*server, *joined){
		"resets":       func(s *server, j *joined) { s.connected(j).Reset() },
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
	t.Parallel()
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
	t.Parallel()
	s, j, p := meet(t, Options{FirstWait: time.Hour, LongestWait: time.Hour})
	j.says("all\n")
	p.Hears("all\n")
	p.Says("x")
	j.stdout.Until(t, "x")
	_ = p.Close()
	j.log.Until(t, "trying again")
	_ = j.stdin.Close()
	j.endsWell()
	s.acceptsNoMore()
}

// What STDIN gives while there is no connection is kept, and sent in order.
func TestMessagesOfTheMeantimeAreSent(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	j.says("before\n")
	p.Hears("before\n")
	p.Says("x")
	j.stdout.Until(t, "x")
	j.losesServer(s, p)
	want := ""
	for i := range 1000 {
		line := fmt.Sprintf("meanwhile %d\n", i)
		j.says(line)
		want += line
	}
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.Hears(want)
	j.says("after\n")
	p.Hears("after\n")
}

// Past the bound STDIN is not read; nothing of it is lost.
func TestTooMuchInTheMeantimePushesBack(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	j.log.Until(t, "connected to")
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
	j.log.Until(t, "reading pauses until the server is back")
	mu.Lock()
	if given > ringSize {
		t.Errorf("%d bytes were taken from STDIN, the bound is %d", given, ringSize)
	}
	mu.Unlock()
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.Hears(strings.Repeat(line, lines))
	p.HearsEnd()
	await(t, fed, "STDIN's end")
}

// A message that a break cut in two comes whole on the next connection.
func TestMessageCutByTheBreakIsSentWhole(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	j.says("whole\nfirst half, ")
	p.Hears("whole\nfirst half, ")
	p.Reset()
	p = s.accept()
	j.says("second half\n")
	p.Hears("first half, second half\n")
}

// The test's connection never writes, which is what a watcher must not be
// closed for; its STDIN was at its end before it began.
func TestWatcherDoesNotHalfClose(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{Stdin: strings.NewReader("")})
	p.Says("one\n")
	j.stdout.Until(t, "one\n")
	p.hearsNothing()
	p.Says("two\n")
	j.stdout.Until(t, "one\ntwo\n")
	_ = p.Close()
	p = s.accept() // and it comes back
	p.Says("three\n")
	j.stdout.Until(t, "three\n")
	j.runs()
}

func TestHalfClosePrintsWhatStillComes(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{Stdin: strings.NewReader("question")})
	p.Hears("question") // as it is: no newline of ours
	p.HearsEnd()
	p.Says("ans")
	j.stdout.Until(t, "ans")
	j.runs()
	p.Says("wer")
	_ = p.Close()
	j.endsWell()
	j.stdout.Is(t, "answer")
	s.acceptsNoMore()
}

func TestStayTellsNobodyOfStdinsEnd(t *testing.T) {
	t.Parallel()
	_, j, p := meet(t, Options{Stdin: strings.NewReader("one\ntwo"), EOF: Stay})
	p.Hears("one\ntwo\n") // completed: the server sees no end that would do it
	p.hearsNothing()
	p.Says("still here\n")
	j.stdout.Until(t, "still here\n")
	j.runs()
	_ = p.Close()
	j.endsWell()
}

func TestExitLeavesOnceAllIsSent(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a line to deliver\n", 100_000)
	_, j, p := meet(t, Options{Stdin: strings.NewReader(text), EOF: Exit})
	p.Says("noise\n")
	p.Hears(text)
	p.HearsEnd()
	// The server says nothing and does not close: the client is done all the same.
	j.endsWell()
}

func TestExitWithoutAnythingToSay(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{Stdin: strings.NewReader(""), EOF: Exit})
	s.accept().HearsEnd()
	j.endsWell()
}

// Once the end of STDIN has been sent, a break is for good.
func TestNoComingBackOnceStdinHasEnded(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{Stdin: strings.NewReader("all\n")})
	p.Hears("all\n")
	p.HearsEnd()
	p.Reset()
	j.failsWith("reset")
	s.acceptsNoMore()
}

// What STDIN gave is sent even if STDIN ends before the server is back.
func TestStdinThatEndsInTheMeantimeIsSent(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	j.log.Until(t, "connected to")
	j.losesServer(s, p)
	j.says("late\n")
	_ = j.stdin.Close()
	s = listen(t, s.Addr().String())
	p = s.accept()
	p.Hears("late\n")
	p.HearsEnd()
	_ = p.Close()
	j.endsWell()
}

// If it had nothing more to say, there is nothing to come back for: all is
// well if the connection did not break.
func TestStdinThatEndsInTheMeantimeWithNothingMoreIsTheEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*peer)
		fail string
	}{
		"orderly": {func(p *peer) { _ = p.Close() }, ""},
		"crash":   {(*peer).Reset, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			j.says("all\n")
			p.Hears("all\n")
			p.Says("x")
			j.stdout.Until(t, "x")
			_ = s.Close()
			c.end(p)
			j.log.Until(t, "refused")
			j.runs()
			_ = j.stdin.Close()
			j.endsWith(c.fail)
		})
	}
}

func TestOnceDoesNotComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*peer)
		fail string
	}{
		"orderly": {func(p *peer) { _ = p.Close() }, ""},
		"crash":   {(*peer).Reset, "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{Once: true, Input: Terminal})
			p.Says("x")
			j.stdout.Until(t, "x")
			c.end(p)
			j.endsWith(c.fail)
			s.acceptsNoMore()
		})
	}
}

// Everything the server sent is on STDOUT before Run ends, however slow
// STDOUT is.
func TestEverythingIsPrintedBeforeTheEnd(t *testing.T) {
	t.Parallel()
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
	if got := out.Text(); got != text {
		t.Errorf("STDOUT got %d bytes of %d", len(got), len(text))
	}
}

func (p *peer) hearsEndAfter(text string) {
	p.T.Helper()
	p.Hears(text)
	p.HearsEnd()
}

// A server that ends its side at once only listens: it is told all the same.
func TestServerThatOnlyListensIsSentAll(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	p.Done()
	for i := range 100 {
		j.says(fmt.Sprintf("%d\n", i))
		p.Hears(fmt.Sprintf("%d\n", i))
	}
	_ = j.stdin.Close()
	p.HearsEnd()
	_ = p.Close()
	j.endsWell()
	s.acceptsNoMore()
}

// Two files are exchanged, and the server's is shorter.
func TestFileIsSentPastTheServersEnd(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a file's line\n", 500_000)
	_, j, p := meet(t, Options{Stdin: strings.NewReader(text), Input: File})
	p.Says("theirs\n")
	p.Done()
	p.Hears(text)
	p.HearsEnd()
	_ = p.Close()
	j.endsWell()
	j.stdout.Is(t, "theirs\n")
}

func TestStdoutLostEndsTheClient(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{Stdout: lostWriter{}})
	s.accept().Says("x")
	j.failsWith("write STDOUT: io: read/write on closed pipe")
}

// STDOUT's loss is noticed although nothing comes that could be written.
func TestStdoutLostIsNoticedWhileNothingComes(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	text := strings.Repeat("a line to deliver\n", 10_000)
	_, j, p := meet(t, Options{})
	j.log.Until(t, "connected to")
	j.says(text)
	j.stop()
	p.Hears(text)
	p.HearsEnd()
	p.Says("goodbye\n")
	_ = p.Close()
	j.endsWell()
	j.stdout.Is(t, "goodbye\n")
}

// Neither a server that takes nothing nor a STDOUT that takes nothing keeps a
// client that was told to stop; it says if not all was sent.
func TestStopDoesNotWaitForTheStuck(t *testing.T) {
	t.Parallel()
	in, out := newEndless(), newBlockedWriter()
	defer close(out.release)
	_, j, p := meet(t, Options{Stdin: in, Stdout: out})
	p.Says("x")
	await(t, out.blocked, "a blocked STDOUT")
	if _, err := p.R.Peek(1); err != nil {
		t.Fatal(err)
	}
	in.awaitPause(t)
	j.stop()
	err := j.ends()
	took, _ := io.Copy(io.Discard, p.R)
	said := err != nil && strings.Contains(err.Error(), "bytes of STDIN not sent")
	if said && took == in.n.Load() || !said && took < in.kept.Load() {
		t.Errorf("the server could take %d bytes of %d, and Run says %v", took, in.n.Load(), err)
	}
}

func TestStopWhileTryingAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kept, fail string }{
		"nothing kept":   {"", ""},
		"something kept": {"late\n", "5 bytes of STDIN not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j, p := meet(t, Options{})
			j.log.Until(t, "connected to")
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
		p.Says("x")
		j.stdout.Until(t, "x")
		began := time.Now()
		j.stop()
		j.endsWell()
		p.HearsEnd()
		if quickest = min(quickest, time.Since(began)); quickest < grace/2 {
			return
		}
	}
	t.Errorf("it took %v at best", quickest)
}

// A line that a break cut short does not run into the next.
func TestLineCutByTheBreakEndsBeforeTheNext(t *testing.T) {
	t.Parallel()
	s, j, p := meet(t, Options{})
	p.Says("whole\ncut sho")
	j.stdout.Until(t, "cut sho")
	p.Reset()
	s.accept().Says("next\n")
	j.stdout.Until(t, "whole\ncut sho\nnext\n")
	j.log.Until(t, "broke inside a message")
}

// With STDOUT blocked a break is still mended, for the sake of what is to be
// sent; what came before it is printed first.
func TestBlockedStdoutDoesNotKeepFromComingBack(t *testing.T) {
	t.Parallel()
	out := newBlockedWriter()
	s, j, p := meet(t, Options{Stdout: out})
	p.Says("before\n")
	await(t, out.blocked, "a blocked STDOUT")
	p.Says("also before\n")
	p.endsUnheard(j)
	p = s.accept()
	p.Says("after\n")
	j.says("the last\n")
	p.awaits("the last\n")
	close(out.release)
	out.Until(t, "after\n")
	out.Is(t, "before\nalso before\nafter\n")
}

// endsUnheard ends the connection, and has the client find out by sending:
// reading it does not.
func (p *peer) endsUnheard(j *joined) {
	p.T.Helper()
	_ = p.Close()
	scene.Until(p.T, "the client notices that it sends to nobody", func() bool {
		j.says("lost\n")
		return strings.Contains(j.log.Text(), "trying again")
	})
}

// awaits reads up to this.
func (p *peer) awaits(want string) {
	p.T.Helper()
	for {
		line, err := p.R.ReadString('\n')
		if err != nil {
			p.T.Fatal(err)
		}
		if line == want {
			return
		}
	}
}

// The system calls the server silent twice: that is a break.
func TestSilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	var mu sync.Mutex
	var first net.Conn
	silent := false // the first
	j := start(t, s, Options{
		HealthEvery: 60 * time.Millisecond,
		Health: func(c net.Conn) Health {
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = c
			}
			return Health{Silent: silent && c == first}
		},
	})
	p := s.accept()
	p.Says("one\n")
	j.stdout.Until(t, "one\n")
	mu.Lock()
	silent = true
	mu.Unlock()
	p = s.accept()
	p.Says("two\n")
	j.stdout.Until(t, "one\ntwo\n")
	j.log.Until(t, "the server does not answer any more")
}

// The first connection is not tried again, and STDIN is not touched for it.
func TestFirstConnectionMustSucceed(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	s, j, p := meet(t, Options{Frame: 4})
	p.Says("abcdef")
	j.stdout.Until(t, "abcd")
	j.says("12345678abc")
	p.Hears("12345678abc")
	p.Reset()
	p = s.accept()
	p.Says("ijkl")
	j.stdout.Until(t, "abcdijkl")
	j.says("d")
	p.Hears("abcd")
}

// Nothing is left behind by connections that came and went.
func TestNothingPilesUp(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	j := start(t, s, Options{})
	turn := func() {
		p := s.accept()
		p.Says("x\n")
		j.says("y\n")
		p.Hears("y\n")
		p.Reset()
	}
	turn()
	before := runtime.NumGoroutine()
	for range 100 {
		turn()
	}
	p := s.accept()
	p.Says("settled\n")
	j.stdout.Until(t, "settled\n")
	scene.Until(t, "the goroutines of old connections have ended", func() bool { return runtime.NumGoroutine() <= before+5 })
}

// A log that nobody reads stops nothing.
func TestBlockedLogStopsNothing(t *testing.T) {
	t.Parallel()
	s := listen(t, "127.0.0.1:0")
	address, _ := ParseAddress(s.Addr().String())
	log := newBlockedWriter()
	defer close(log.release)
	out := &scene.Output{}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Dialer: Dialer{Address: address}, Stdin: strings.NewReader(""), Stdout: out,
			FirstWait: time.Millisecond, LongestWait: time.Millisecond,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	p := s.accept()
	p.Says("there\n")
	out.Until(t, "there\n")
	p.Reset()
	for range 200 {
		s.accept().Reset()
	}
	await(t, log.blocked, "a blocked log")
	s.accept().Says("still here\n")
	out.Until(t, "still here\n")
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(scene.LongEnough):
		t.Fatal("Run does not end")
	}
}
