package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
)

// This file is a command that is killed while thousands speak to it:
//
//	beKeeper   the command: of what it was sent each byte is in a file, or in its pipe still
//	crowd      the clients: they say numbered lines, and hear the command tick
//	account    what of all that was said has come where

// A command is killed again and again, under load and while it reads nothing. No
// client is closed, and each gets every tick. No message reaches two processes,
// each client's messages stay in order, and the log says how many reached none.
func TestCommandIsKilledUnderLoad(t *testing.T) {
	const kills = 4
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "127.0.0.1:0", "--json", "--replay", "none", "--", "env", keeperIn+"="+folder, self)
	c := p.crowd(2000)
	a := account{t: t, folder: folder, last: map[uint64]int{}, came: map[int]int{}}
	scene.Until(t, "all are there", func() bool { return a.look(1).joins == len(c) })

	began, rounds := time.Now(), c.speak(t)
	for n := 1; n <= kills; n++ {
		// So it has been told who is there: what it has not read are messages.
		scene.Until(t, "messages have come", func() bool { return a.look(n).messages > 0 })
		pid := c[0].hears(n, began)
		if n%2 == 0 {
			signalTo(t, pid, unix.SIGUSR1)
			scene.Until(t, "much is in its pipe", func() bool { return unreadBy(t, pid) >= muchUnread })
			for range 3 {
				c[0].hears(n, time.Now())
			}
		}
		signalTo(t, pid, unix.SIGKILL)
	}
	scene.Until(t, "messages have come", func() bool { return a.look(kills+1).messages > 0 })
	said := rounds()
	scene.Until(t, "the last of each has come", func() bool { a.look(kills + 1); return a.came[said] == len(c) })
	now := time.Now()
	for _, l := range c {
		l.hears(kills+1, now)
	}

	log := p.stderr.When(t, "every death", func(log string, _ bool) bool {
		return strings.Count(log, "was killed by SIGKILL") == kills
	})
	lost := 0
	for _, m := range regexp.MustCompile(`lost (\d+) message`).FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		lost += n
	}
	read := 0
	for n := range kills + 1 {
		of := a.look(n + 1)
		if read += of.messages; of.joins != len(c) {
			t.Errorf("start %d was told of %d clients", n+1, of.joins)
		}
	}
	t.Logf("of %d clients' %d messages %d were read, %d lost", len(c), said*len(c), read, lost)
	if read+lost != said*len(c) {
		t.Errorf("of %d messages %d were read, and %d are said to be lost", said*len(c), read, lost)
	}
	if lost < kills/2*muchUnread/longestEvent {
		t.Errorf("%d are said to be lost: fewer than were in the pipes", lost)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, " closed: ") || strings.Contains(line, " left: ") {
			t.Errorf("the log says %q", line)
		}
	}
}

const (
	muchUnread   = 32 << 10 // half a pipe
	longestEvent = 160      // bytes of what a client here says
)

// keeperIn is in the environment of a test binary that is to be a keeper.
const keeperIn = "HUBBUB_TEST_KEEPER"

func init() {
	if folder := os.Getenv(keeperIn); folder != "" {
		if err := beKeeper(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// beKeeper ticks, and has the system move what it is sent into a file: what is
// no longer in the pipe is there, whenever it is killed. After SIGUSR1 it reads
// no more.
func beKeeper(folder string) error {
	start := os.Getenv("HUBBUB_START")
	f, err := os.Create(filepath.Join(folder, start))
	if err != nil {
		return err
	}
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, unix.SIGUSR1)
	go func() {
		for n := 1; ; n++ {
			fmt.Printf(`{"text":"tick %s %d %d %d"}`+"\n", start, os.Getpid(), n, time.Now().UnixNano())
			<-time.After(200 * time.Millisecond)
		}
	}()
	for {
		select {
		case <-enough:
			select {}
		default:
		}
		n, err := unix.Splice(0, nil, int(f.Fd()), nil, 1<<20, 0)
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unreadBy returns how many bytes are in a process's STDIN.
func unreadBy(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd/0", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func signalTo(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// crowd is many clients. Who is not asked what it hears has the system keep it.
type crowd []*listener

// listener is one of them.
type listener struct {
	*peer
	last beat
}

// beat is what the command says now and then.
type beat struct {
	start, pid, n int
	said          int64
}

// crowd has so many clients come, or as many as there are descriptors for.
func (p *program) crowd(clients int) (all crowd) {
	p.t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		p.t.Fatal(err)
	}
	for range min(clients, int(limit.Cur)-200) {
		all = append(all, &listener{peer: p.client()})
	}
	return all
}

// hears waits for a tick of this start that was said after that time, with none
// missing before, and gives its process.
func (l *listener) hears(start int, after time.Time) (pid int) {
	l.T.Helper()
	for l.last.start != start || l.last.said <= after.UnixNano() {
		line, err := l.R.ReadString('\n')
		var next beat
		if err == nil {
			_, err = fmt.Sscanf(line, "tick %d %d %d %d\n", &next.start, &next.pid, &next.n, &next.said)
		}
		last := l.last
		follows := last.start == 0 || next.start == last.start && next.n == last.n+1 ||
			next.start == last.start+1 && next.n == 1
		if err != nil || !follows {
			l.T.Fatalf("after %+v comes %q (%v)", last, line, err)
		}
		l.last = next
	}
	return l.last.pid
}

// speak has all say 1, 2, 3, ..., each twice a second, until rounds is called, which
// gives the last number.
func (c crowd) speak(t *testing.T) (rounds func() int) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	n := 0
	go func() {
		defer close(stopped)
		next := time.NewTicker(time.Second / 2)
		defer next.Stop()
		for {
			n++
			for _, l := range c {
				if _, err := fmt.Fprintln(l, n); err != nil {
					t.Error(err)
					return
				}
			}
			select {
			case <-next.C:
			case <-stop:
				return
			}
		}
	}()
	return func() int {
		close(stop)
		<-stopped
		return n
	}
}

// account is what came to all processes.
type account struct {
	t      *testing.T
	folder string
	of     []*share       // by start
	last   map[uint64]int // by client: the number that came last
	came   map[int]int    // by number: from how many clients it came
}

// share is what came to one of them.
type share struct {
	text            *bufio.Reader
	half            string // of a line
	there           map[uint64]bool
	joins, messages int
}

// look reads what a start has read since: first who is there, then what they say.
// No start must be looked at before the one before it is dead.
func (a *account) look(start int) *share {
	a.t.Helper()
	if start > len(a.of) {
		f, err := os.Open(filepath.Join(a.folder, strconv.Itoa(start)))
		if err != nil {
			return &share{} // not yet
		}
		a.t.Cleanup(func() { _ = f.Close() })
		if start > 1 {
			a.look(start - 1) // what it has read last
		}
		a.of = append(a.of, &share{text: bufio.NewReader(f), there: map[uint64]bool{}})
	}
	of := a.of[start-1]
	for {
		line, err := of.text.ReadString('\n')
		if of.half += line; err != nil {
			return of // at its end there may be half a line: that one is lost
		}
		a.take(of, of.half)
		of.half = ""
	}
}

// take takes one line.
func (a *account) take(of *share, line string) {
	a.t.Helper()
	var e struct {
		Type, Text string
		ID         uint64
	}
	err := json.Unmarshal([]byte(line), &e)
	n, notNumber := strconv.Atoi(e.Text)
	switch {
	case err == nil && e.Type == "join" && !of.there[e.ID] && of.messages == 0:
		of.there[e.ID] = true
		of.joins++
	case err == nil && e.Type == "message" && of.there[e.ID] && notNumber == nil && n > a.last[e.ID]:
		a.last[e.ID] = n
		a.came[n]++
		of.messages++
	default:
		a.t.Errorf("after %d messages, of which its last is %d, comes %q (%v)", of.messages, a.last[e.ID], line, err)
	}
}
