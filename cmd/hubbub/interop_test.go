//go:build unix

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hubbub.example/internal/scene"
)

// This file drives programs that nobody here wrote, as clients of the server.

// everyTool is how each of them connects; see visit.
var everyTool = []string{
	"nc HOST PORT", "ncat HOST PORT", "socat - TCP:HOST:PORT", "telnet HOST PORT",
	"nc -U PATH", "ncat -U PATH", "socat - UNIX-CONNECT:PATH",
}

// host starts a server that all of them can reach: at HOST and PORT, and at
// PATH.
func host(t *testing.T, flags ...string) *program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	args := []string{"serve", "127.0.0.1:0", "unix:" + path, "--drain", scene.LongEnough.String()}
	return start(t, append(args, flags...)...)
}

// visit runs a command with the server's HOST, PORT and PATH filled in.
func visit(t *testing.T, p *program, command string) *program {
	t.Helper()
	return launch{}.visit(t, p, command)
}

func (l launch) visit(t *testing.T, p *program, command string) *program {
	t.Helper()
	name, _, _ := strings.Cut(command, " ")
	needs(t, name)
	ip, port, err := net.SplitHostPort(p.address())
	if err != nil {
		t.Fatal(err)
	}
	_, path, _ := strings.Cut(p.stderr.Until(t, "/s\n"), "listening on unix:")
	path, _, _ = strings.Cut(path, "\n")
	l.args = strings.Fields(strings.NewReplacer("HOST", ip, "PORT", port, "PATH", path).Replace(command))
	l.shell = `exec "$@"`
	return l.start(t)
}

// needs skips a test for want of a program. That there is an nc does not say
// whose; here it is OpenBSD's.
func needs(t *testing.T, name string) {
	t.Helper()
	scene.Needs(t, name)
	if name != "nc" {
		return
	}
	if said, _ := exec.Command("nc", "-h").CombinedOutput(); !bytes.Contains(said, []byte("OpenBSD")) {
		scene.Unable(t, "this nc is not OpenBSD's")
	}
}

// greeting is the last that telnet says before anything from the server.
const greeting = "Escape character is '^]'.\n"

// heard returns what came from the server.
func heard(said string) string {
	if _, after, ok := strings.Cut(said, greeting); ok {
		return after
	}
	return said
}

// Other programs get the server's lines and nothing else, the server prints
// theirs, and they exit when it does.
func TestOthersProgramsTalkBothWays(t *testing.T) {
	t.Parallel()
	for _, command := range everyTool {
		t.Run(command, func(t *testing.T) {
			t.Parallel() // some stay a while when the server has ended
			p := host(t, "--wait-for", "1")
			c := visit(t, p, command)
			c.says("one\ntwo\n")
			p.stdout.Is(t, "one\ntwo\n")
			p.says("three\nfour\n")
			c.stdout.Until(t, "three\nfour\n")
			c.says("five\n")
			p.stdout.Is(t, "one\ntwo\nfive\n")
			p.stop(exitDone)
			_ = c.stdin.Close()
			if got := heard(c.stdout.Ends(t)); got != "three\nfour\n" {
				t.Errorf("it heard %q", got)
			}
			scene.Next(t, c.ended, "its end")
		})
	}
}

// A client that sends something and half-closes gets everything there is and then
// the end. No early close loses any of it.
func TestOthersProgramsThatHalfCloseGetAllThenTheEnd(t *testing.T) {
	t.Parallel()
	const lines = 5 << 20 / lineSize
	stream := numbered(lines)
	for _, command := range []string{
		"nc -N HOST PORT", "ncat HOST PORT", "socat -t 30 - TCP:HOST:PORT",
		"nc -N -U PATH", "ncat -U PATH", "socat -t 30 - UNIX-CONNECT:PATH",
	} {
		t.Run(command, func(t *testing.T) {
			p := host(t, "--replay", "all", "--wait-for", "1")
			first := p.client()
			go p.stdin.Write(stream)
			first.Hears(string(stream)) // so it is in the feed
			c, got := visitFollowing(t, p, command, lines)
			c.says("what was there?")
			_ = c.stdin.Close()
			if n := got.ends(t); n != lines {
				t.Errorf("it got %d lines of %d", n, lines)
			}
			c.exits(0)
			p.stdout.Is(t, "what was there?\n")
			p.says("still here\n")
			first.Hears("still here\n")
		})
	}
}

// Many clients of every kind get every byte of a long stream at the same time. The
// server stays: at the end of a connection telnet discards what it has not
// written.
func TestOthersProgramsGetEveryByte(t *testing.T) {
	t.Parallel()
	const each = 2
	text := numbered(20 << 20 / lineSize)
	p := host(t, "--wait-for", fmt.Sprint(each*len(everyTool)))
	got := map[string][]<-chan string{}
	for range each {
		for _, command := range everyTool {
			r, w := scene.Pipe(t)
			launch{stdout: w}.visit(t, p, command)
			_ = w.Close()
			got[command] = append(got[command], digest(r, len(text)))
		}
	}
	go p.stdin.Write(text)
	want := fmt.Sprintf("%x", sha256.Sum256(text))
	for command, digests := range got {
		for _, d := range digests {
			if sum := scene.Next(t, d, command); sum != want {
				t.Errorf("%s got %s, want %s", command, sum, want)
			}
		}
	}
}

// digest reads size bytes from the server, telnet's own words left out.
func digest(r io.Reader, size int) <-chan string {
	done := make(chan string, 1)
	go func() {
		in := bufio.NewReaderSize(r, 64<<10)
		if first, _ := in.Peek(6); string(first) == "Trying" {
			for line := ""; line != greeting; {
				var err error
				if line, err = in.ReadString('\n'); err != nil {
					break
				}
			}
		}
		h := sha256.New()
		if n, err := io.CopyN(h, in, int64(size)); err != nil {
			done <- fmt.Sprintf("%d bytes: %v", n, err)
			return
		}
		done <- fmt.Sprintf("%x", h.Sum(nil))
	}()
	return done
}

// A stopped client neither reads nor leaves. While it is less than a backlog
// behind, it delays nobody and misses nothing.
func TestAStoppedNCDelaysNobody(t *testing.T) {
	t.Parallel()
	const bulk, single = 8 << 20 / lineSize, 1000 // in bulk more than its sockets hold
	p := host(t, "--wait-for", "3")
	stopped, missed := stalled(t, p, bulk+single)
	_, other := visitFollowing(t, p, "nc HOST PORT", bulk+single)
	c := p.client()

	stream := numbered(bulk + single)
	go p.stdin.Write(stream[:bulk*lineSize])
	c.Hears(string(stream[:bulk*lineSize]))
	for n := range single {
		line := string(stream[(bulk+n)*lineSize:][:lineSize])
		p.says(line)
		c.Hears(line)
	}
	other.gets(t)
	if missed.has(bulk / 2) {
		t.Error("the stopped one has half of it: it was not in the way at all")
	}
	if said := p.stderr.Text(); strings.Count(said, "\n") != 2 {
		t.Errorf("STDERR says %s", scene.Brief(said))
	}
	stopped.signal(syscall.SIGCONT)
	missed.gets(t)
}

// The server waits --patience for a client that is a whole backlog behind, then
// disconnects it and logs that.
func TestAStoppedNCIsCutABacklogBehind(t *testing.T) {
	t.Parallel()
	const lines = 8 << 20 / lineSize
	p := host(t, "--wait-for", "3", "--backlog", "1MiB", "--patience", "2s")
	stopped, missed := stalled(t, p, lines)
	_, other := visitFollowing(t, p, "nc HOST PORT", lines)
	c := p.listener(lines)
	go p.stdin.Write(numbered(lines))
	c.gets(t)
	other.gets(t)
	p.stderr.Until(t, "closed: too slow")
	stopped.signal(syscall.SIGCONT)
	_ = stopped.stdin.Close()
	scene.Next(t, missed.ended, "the end of the stopped one")
	if missed.lines >= lines/2 {
		t.Errorf("the stopped one got %d lines of %d", missed.lines, lines)
	}
}

// stalled returns an nc that has joined and is stopped, and what it will have read
// by when it goes on.
func stalled(t *testing.T, p *program, lines int) (*program, *follower) {
	t.Helper()
	c, f := visitFollowing(t, p, "nc HOST PORT", lines)
	c.says("I stop reading\n")
	p.stdout.Is(t, "I stop reading\n")
	c.signal(syscall.SIGSTOP)
	return c, f
}

// visitFollowing is visit of somebody who gets the stream of numbered lines.
func visitFollowing(t *testing.T, p *program, command string, lines int) (*program, *follower) {
	t.Helper()
	r, w := scene.Pipe(t)
	c := launch{stdout: w}.visit(t, p, command)
	_ = w.Close()
	return c, follow(r, lines)
}

// A line typed into telnet ends in "\r\n", and the "\r" is no part of the message.
// A message is a line on the terminal.
func TestTelnetAtATerminal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ frame, stdout string }{
		{"line", "hello\nthere\n"},
		{"raw", "hello\r\nthere\r\n"}, // so telnet does send it
	} {
		t.Run(tt.frame, func(t *testing.T) {
			p := host(t, "--frame", tt.frame, "--wait-for", "1")
			terminal, theirs := openTerminal(t)
			shown := scene.Collect(terminal)
			launch{stdin: theirs, stdout: theirs, stderr: theirs}.visit(t, p, "telnet HOST PORT")
			shown.Until(t, "Escape character is")
			typed(t, terminal, "hello\nthere\n")
			p.stdout.Is(t, tt.stdout)
			p.says("general\nkenobi\n")
			shown.Until(t, "general\r\nkenobi\r\n")
		})
	}
}
