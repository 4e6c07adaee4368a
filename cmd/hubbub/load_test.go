//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/scene"
)

// This file is a server that is hard to kill: floods, blocked files, signals
// and vanishing crowds, all upon the real program.

// STDOUT and STDERR are blocked for seconds while thousands of clients come, are
// logged and send. Broadcasting goes on. Once both are read again, no line of a
// client is missing, and the log says how many of its own lines are.
func TestBlockedStdoutAndStderrDelayNobody(t *testing.T) {
	t.Parallel()
	const visitors, seconds = 2000, 2
	stdout, fullOut := scene.Pipe(t)
	stderr, fullErr := scene.Pipe(t)
	p := launch{
		args:   []string{"serve", "127.0.0.1:0", "-v", "--wait-for", "1", "--drain", scene.LongEnough.String()},
		stdout: fullOut, stderr: fullErr,
	}.start(t)
	address := firstAddress(t, stderr)
	c := dial(t, address)
	if err := c.SetDeadline(time.Now().Add(scene.LongEnough)); err != nil {
		t.Fatal(err)
	}
	filled := fill(t, fullOut)
	fill(t, fullErr)
	_, _ = fullOut.Close(), fullErr.Close()

	done := report(address, visitors)
	for began := time.Now(); time.Since(began) < seconds*time.Second || !isDone(done); {
		p.says("still there?\n")
		c.Hears("still there?\n")
	}
	said := scene.Collect(stdout).When(t, "every line", func(said string, end bool) bool {
		return strings.Count(said, "\n") >= 2*visitors || end
	})
	lines := map[string]int{}
	for line := range strings.Lines(said[filled:]) {
		lines[line]++
	}
	for n := range visitors {
		for _, which := range []string{"one", "two"} {
			if line := fmt.Sprintf("line %s of %d\n", which, n); lines[line] != 1 {
				t.Errorf("%q is there %d times", line, lines[line])
			}
		}
	}
	scene.Collect(stderr).Until(t, "dropped ")
	p.stop(exitDone)
}

// report has so many clients come one after the other, of which number n says
// two lines and leaves; and closes the channel when it is done.
func report(address string, visitors int) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range visitors {
			c, err := scene.Connect(address, nil)
			if err != nil {
				return // the test is over
			}
			_, _ = fmt.Fprintf(c, "line one of %d\nline two of %d\n", n, n)
			_ = c.Close()
		}
	}()
	return done
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Messages of a client are printed, however it leaves and however long STDOUT is
// blocked. A client that never reads leaves with a reset, as does echo hello
// >/dev/tcp/host/9000.
func TestWhatWasSaidBeforeAResetComesOut(t *testing.T) {
	const visitors = 200
	stdout, full := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "1"}, stdout: full}.start(t)
	filled := fill(t, full)
	_ = full.Close()
	c := p.client()
	want := 0
	for range visitors {
		v := p.client()
		v.Says("hello\nbye\n")
		want += len("hello\nbye\n")
		if err := v.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = v.Close()
	}
	for range 2 { // they are told something, and so found to be gone
		p.says("is anybody there?\n")
		c.Hears("is anybody there?\n")
	}
	got := scene.Collect(stdout).When(t, "what they said", func(said string, end bool) bool { return len(said) >= filled+want || end })
	if got = got[filled:]; got != strings.Repeat("hello\nbye\n", visitors) {
		t.Errorf("STDOUT says %s", scene.Brief(got))
	}
}

// If STDOUT is blocked and joins wait to be printed, accepting pauses in the end,
// while connected clients still get messages. Later each join is printed once.
func TestJoinsWaitForABlockedStdout(t *testing.T) {
	t.Parallel()
	const visitors = 9000 // more than the inbox of two loops and the kernel's queue hold
	stdout, full := scene.Pipe(t)
	p := launch{args: []string{"serve", "tcp://127.0.0.1:0", "--out", "json", "--wait-for", "1", "--loops", "2"}, stdout: full}.start(t)
	c := p.client()
	fill(t, full)
	_ = full.Close()
	came := report(p.address(), visitors)
	for began := time.Now(); time.Since(began) < 2*time.Second; {
		p.says("still there?\n")
		c.Hears("still there?\n")
	}
	if isDone(came) {
		t.Error("all could join although nobody takes what is told of them")
	}
	said := scene.Collect(stdout).When(t, "every leave", func(said string, end bool) bool {
		return end || strings.Count(said, `"leave"`) >= visitors
	})
	events := map[string]int{}
	for line := range strings.Lines(said) {
		line = strings.TrimLeft(line, ".") // what filled it
		kind, rest, _ := strings.Cut(strings.TrimPrefix(line, `{"type":"`), `"`)
		_, rest, _ = strings.Cut(rest, `"id":`)
		id, _, _ := strings.Cut(rest, ",")
		events[kind+" "+id]++
	}
	for id := 2; id <= visitors+1; id++ {
		for kind, want := range map[string]int{"join": 1, "message": 2, "leave": 1} {
			if n := events[fmt.Sprintf("%s %d", kind, id)]; n != want {
				t.Fatalf("the %s of client %d is told %d times", kind, id, n)
			}
		}
	}
}

// The source is faster than the clients for seconds. The backlog bounds memory,
// with each --slow, and connected clients get what --slow promises.
func TestASourceFasterThanTheNetworkTakesNoMemory(t *testing.T) {
	lasts := 2 * time.Second
	if long := os.Getenv("HUBBUB_TEST_LASTS"); long != "" { // such as 3m
		var err error
		if lasts, err = time.ParseDuration(long); err != nil {
			t.Fatal(err)
		}
	}
	const (
		rate    = 8 << 20  // bytes a second that a client takes
		backlog = 4 << 20  // bytes
		race    = 16 << 20 // what the race detector needs for what the program does
	)
	for _, tt := range []struct {
		name, flags string
		clients     int
		gaps        bool
		exit        int
	}{
		{"wait", "--slow wait --patience 2m", 3, false, exitDone},
		{"skip", "--slow skip -q", 3, true, -1}, // it depends on what all of them skipped
		{"nobody there", "", 0, false, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{
				"serve", "127.0.0.1:0", "--backlog", fmt.Sprint(backlog, "B"),
				"--wait-for", fmt.Sprint(tt.clients), "--eof", "exit", "--drain", scene.LongEnough.String(),
			}, strings.Fields(tt.flags)...)...)
			p.address()
			itself := peakMemory(t, p)
			var fs []*follower
			for range tt.clients {
				c, f := p.client(), &follower{gaps: tt.gaps}
				if err := c.SetDeadline(time.Now().Add(lasts + scene.LongEnough)); err != nil {
					t.Fatal(err)
				}
				fs = append(fs, f.start(&paced{r: c, rate: rate, began: time.Now()}))
			}
			source := flood(t, p.stdin)
			<-time.After(lasts)
			scene.Until(t, "more than a backlog is taken", func() bool { return source.lines.Load() > 3*backlog/lineSize })
			lines := source.ends(t)
			got := peakMemory(t, p) - itself
			t.Logf("it grew by %d KB from %d", got>>10, itself>>10)
			if got > backlog+race {
				t.Errorf("after %d MB the server has taken %d MB of memory", lines*lineSize>>20, got>>20)
			}
			_ = p.stdin.Close()
			for _, f := range fs {
				if f.ends(t); f.last != lines-1 || !tt.gaps && f.lines != lines {
					t.Errorf("a client got %d of %d lines, the last is %d", f.lines, lines, f.last)
				}
			}
			if scene.Next(t, p.ended, "the server's end"); tt.exit >= 0 {
				p.exits(tt.exit)
			}
		})
	}
}

// paced is a reader that takes so many bytes a second.
type paced struct {
	r     io.Reader
	rate  int
	began time.Time
	taken int
}

func (p *paced) Read(b []byte) (int, error) {
	due := p.began.Add(time.Duration(p.taken) * time.Second / time.Duration(p.rate))
	<-time.After(time.Until(due))
	n, err := p.r.Read(b)
	p.taken += n
	return n, err
}

// peakMemory returns the most that p had resident at any time: VmHWM, proc(5).
func peakMemory(t *testing.T, p *program) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(line), " kB"))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// The signal comes while STDIN is flooded and clients read and send at all speeds.
// Each client gets whole lines up to the last one broadcast, the same for all.
// Lines of clients are printed whole as well.
func TestASignalUnderLoadDeliversWhatWasBroadcast(t *testing.T) {
	const before = 20 << 20 / lineSize
	r, w := scene.Pipe(t)
	p := launch{
		args:   []string{"serve", "127.0.0.1:0", "--wait-for", "5", "--backlog", "4MiB", "--drain", "2m", "--patience", "2m"},
		stdout: w,
	}.start(t)
	_ = w.Close()
	stdout := follow(r, 0)
	var fs []*follower
	for range 3 {
		fs = append(fs, p.listener(before))
	}
	slow := follow(&paced{r: p.client(), rate: 10 << 20, began: time.Now()}, before)
	talker := p.client()
	hears := follow(talker, before)
	talks := flood(t, talker)
	flood(t, p.stdin)

	slow.gets(t)
	p.signal(syscall.SIGTERM)
	lines := slow.ends(t)
	for _, f := range append(fs, hears) {
		if n := f.ends(t); n != lines {
			t.Errorf("a client got %d lines, another %d", n, lines)
		}
	}
	talks.ends(t)
	_ = talker.Close()
	p.exits(exitDone)
	if n := stdout.ends(t); n == 0 {
		t.Error("nothing the talker said came out")
	}
}

// A second signal ends the server at once, under load too.
func TestASecondSignalUnderLoadEndsAtOnce(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "3", "--drain", "1h", "--backlog", "16MiB")
	p.client() // never reads
	reader, talker := p.listener(8<<20/lineSize), p.client()
	flood(t, p.stdin)
	flood(t, talker)
	reader.gets(t)
	p.signal(syscall.SIGTERM)
	reader.ends(t) // so it has been seen
	p.insists(syscall.SIGTERM)
	p.exits(exitFailed)
}

// Both servers listen on one port, and the kernel divides the connections.
func TestServersThatShareAPortShareTheClients(t *testing.T) {
	first := start(t, "serve", "tcp://127.0.0.1:0", "--so", "SO_REUSEPORT=1", "-v")
	second := start(t, "serve", "tcp://"+first.address(), "--so", "SO_REUSEPORT=1", "-v")
	second.address()
	for range 64 { // all with one of two: once in 2^63
		first.client()
	}
	first.stderr.Until(t, " joined\n")
	second.stderr.Until(t, " joined\n")
}

// close(2) with SO_LINGER sleeps while anything is unsent, also on a
// nonblocking socket. The loop does not.
func TestLingerDoesNotBlockALoop(t *testing.T) {
	const (
		stuck, linger = 8, 5 * time.Second
		backlog       = 4 << 20
		lines         = 3 * backlog / lineSize
	)
	p := start(t, "serve", "127.0.0.1:0", "--so", "SO_LINGER=5", "--loops", "1", "--patience", "2s",
		"--backlog", fmt.Sprint(backlog, "B"), "--wait-for", fmt.Sprint(stuck+1))
	var stalled []*peer
	for range stuck {
		c := p.client()
		c.Says("I stop reading\n")
		stalled = append(stalled, c)
	}
	reader := p.listener(lines)
	go p.stdin.Write(numbered(lines))
	scene.Until(t, "a backlog has come", func() bool { return reader.has(backlog / lineSize) })
	for _, c := range stalled {
		c.Done() // who has half-closed is closed at once when cut
	}
	p.stderr.When(t, "all to be cut", func(said string, _ bool) bool { return strings.Count(said, "too slow") == stuck })
	cut := time.Now()
	reader.gets(t)
	if took := time.Since(cut); took > stuck*linger/2 {
		t.Errorf("it took %v to serve the other", took)
	}
}

// Each of four loops has a share of the clients, and the order of lines both ways
// is the same as with one.
func TestFourLoopsShareTheClients(t *testing.T) {
	const clients, lines, says = 100, 2000, 200
	p := start(t, "serve", "127.0.0.1:0", "--loops", "4", "--out", "tagged", "--wait-for", fmt.Sprint(clients))
	var wg sync.WaitGroup
	var fs []*follower
	for range clients {
		c := p.client()
		fs = append(fs, follow(c, lines))
		wg.Go(func() {
			for n := range says {
				_, _ = fmt.Fprintf(c, "%d\n", n) // it comes out, or the test fails
			}
		})
	}
	p.says(string(numbered(lines)))
	for _, f := range fs {
		f.gets(t)
	}
	wg.Wait()
	text := p.stdout.When(t, "all they said", func(text string, end bool) bool {
		return strings.Count(text, "\n") == clients*says || end
	})
	next := map[string]int{}
	for line := range strings.Lines(text) {
		id, said, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if said != strconv.Itoa(next[id]) {
			t.Fatalf("client %s said %q, want %d", id, said, next[id])
		}
		next[id]++
	}
	if shares := watched(t, p); len(shares) != 4 || min(shares[0], shares[1], shares[2], shares[3]) < clients/4 {
		t.Errorf("the loops watch %v descriptors", shares)
	}
}

// watched returns how many descriptors each loop's epoll watches: the one of Go's
// own, which watches STDIN, STDOUT and epolls, is left out by its few.
func watched(t *testing.T, p *program) (shares []int) {
	t.Helper()
	for _, fd := range descriptors(t, p) {
		if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.cmd.Process.Pid, fd)); to != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", p.cmd.Process.Pid, fd))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(info, []byte("tfd:")); n > 10 {
			shares = append(shares, n)
		}
	}
	return shares
}

// descriptors are those that p has.
func descriptors(t *testing.T, p *program) (fds []string) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fds = append(fds, e.Name())
	}
	return fds
}

// The exit code tells whether --eof exit could deliver everything.
func TestExitCodesAtTheEndOfStdin(t *testing.T) {
	const lines = 8 << 20 / lineSize // more than a client's sockets hold
	reads := func(p *program) *follower { return p.listener(lines) }
	neverReads := func(p *program) *follower { p.client(); return nil }
	leaves := func(p *program) *follower {
		c := p.client()
		c.Says("bye\n")
		p.stdout.Is(t, "bye\n")
		_ = c.Close()
		p.stderr.Until(t, ") left: ")
		return nil
	}
	for _, tt := range []struct {
		name    string
		clients []func(*program) *follower
		lines   int
		want    int
		says    string
	}{
		{"all delivered", []func(*program) *follower{reads, reads}, lines, exitDone, ""},
		{"nothing to deliver", nil, 0, exitDone, ""},
		{"nobody there", nil, 3, exitFailed, "hubbub: not delivered: 3 messages, which nobody has heard\n"},
		{"one never reads", []func(*program) *follower{reads, neverReads}, lines, exitFailed, " to 1 client\n"},
		{"one has left", []func(*program) *follower{leaves, reads}, lines, exitDone, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, "serve", "tcp://127.0.0.1:0", "--eof", "exit", "--drain", "500ms", "-v")
			var readers []*follower
			for _, joins := range tt.clients {
				if f := joins(p); f != nil {
					readers = append(readers, f)
				}
			}
			p.stderr.When(t, "all to be there", func(said string, _ bool) bool {
				return strings.Count(said, " joined\n") == len(tt.clients)
			})
			p.stdin.Write(numbered(tt.lines))
			for _, f := range readers { // before the end: after it they have 500ms
				f.gets(t)
			}
			_ = p.stdin.Close()
			for _, f := range readers {
				if n := f.ends(t); n != tt.lines {
					t.Errorf("a client got %d lines of %d", n, tt.lines)
				}
			}
			p.exits(tt.want)
			said := p.stderr.Ends(t)
			if strings.Contains(said, "not delivered") != (tt.says != "") || !strings.Contains(said, tt.says) {
				t.Errorf("STDERR says %q", said)
			}
		})
	}
}

// A client that has left does not count for --wait-for.
func TestWaitForCountsWhoIsThere(t *testing.T) {
	p := start(t, "serve", "127.0.0.1:0", "-v", "--wait-for", "2", "--replay", "none")
	p.says("for two\n")
	for n := range 3 {
		c := p.client()
		c.Says("bye\n")
		_ = c.Close()
		left := fmt.Sprintf("client %d (%s) left", n+1, c.LocalAddr())
		p.stderr.Until(t, left)
	}
	a := p.client()
	a.Says("alone\n")
	p.stdout.Until(t, "alone\n")
	b := p.client()
	a.Hears("for two\n")
	b.Hears("for two\n")
}

// A process with thousands of connections is killed: some with unread data, some
// inside a message, some that never sent anything. All leave at once, other
// clients notice nothing, and new ones can come.
func TestACrowdThatVanishesLeavesNothingBehind(t *testing.T) {
	const crowd = 2000
	for _, tt := range []struct {
		name, says string
		unread     int // lines they have not read
	}{
		{"after a word", "hello\n", 0},
		{"inside a line", "hel", 0},
		{"with lines unread", "hello\n", 1000},
		{"without a word", "", 0},
		{"without a word, with lines unread", "", 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, "serve", "127.0.0.1:0", "--wait-for", "1")
			c := p.client()
			p.says("hello\n")
			c.Hears("hello\n")
			c.Says("hello\n")
			p.stdout.Is(t, "hello\n")
			before := len(descriptors(t, p)) // all is open

			there := startCrowd(t, p.address(), crowd, tt.says)
			scene.Until(t, "the crowd is there", func() bool { return len(descriptors(t, p)) >= before+crowd })
			go p.stdin.Write(numbered(tt.unread))
			c.Hears(string(numbered(tt.unread)))
			there.kill()

			for range 2 { // the dead that never spoke are found by being spoken to
				p.says("still there?\n")
				c.Hears("still there?\n")
			}
			scene.Until(t, "all of them are gone", func() bool { return len(descriptors(t, p)) <= before })
			other := p.client()
			other.Says("I am new\n")
			p.stdout.Until(t, "I am new\n")
			p.says("welcome\n")
			c.Hears("welcome\n")
			other.Hears("welcome\n")
		})
	}
}

// crowdAt is in the environment of a test binary that is to be a crowd.
const crowdAt = "HUBBUB_TEST_CROWD"

// startCrowd starts a process that connects so often, says something with
// each, never reads, and stays.
func startCrowd(t *testing.T, address string, connections int, says string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := launch{
		shell: "export " + crowdAt + `="$1"; shift; exec "$@"`,
		args:  []string{address, self, strconv.Itoa(connections), says},
	}.start(t)
	c.stdout.Until(t, "all there\n")
	return c
}

func init() {
	if address := os.Getenv(crowdAt); address != "" {
		if err := beCrowd(address, os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

func beCrowd(address, connections, says string) error {
	n, err := strconv.Atoi(connections)
	if err != nil {
		return err
	}
	var all []net.Conn
	for range n {
		c, err := scene.Connect(address, nil)
		if err != nil {
			return err
		}
		all = append(all, c)
		if _, err := io.WriteString(c, says); err != nil {
			return err
		}
	}
	fmt.Println("all there")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n') // until we are killed, or the test is gone
	for _, c := range all {
		_ = c.Close()
	}
	return err
}
