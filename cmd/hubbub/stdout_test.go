//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/stdio"
)

// While nobody reads STDOUT, clients' lines wait and broadcasting goes on. Later
// no line is missing.
func TestASlowStdoutLosesNothingAndStopsNothing(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "2"}, stdout: w}.start(t)
	_ = w.Close()
	talker, listener := p.client(), p.client()
	var want bytes.Buffer
	for i := range 300_000 { // more than the pipe, the inbox and the sockets hold
		fmt.Fprintf(&want, "line %d of a client that talks and talks\n", i)
	}
	said := make(chan bool)
	go func() { defer close(said); talker.Says(want.String()) }()
	for range 100 {
		p.says("still there?\n")
		listener.Hears("still there?\n")
	}
	select {
	case <-said:
		t.Error("all is taken from a client although nobody reads STDOUT")
	default:
	}
	out := scene.Collect(r)
	if got := out.When(t, "every line", func(text string, end bool) bool { return len(text) >= want.Len() || end }); got != want.String() {
		t.Errorf("on STDOUT there are %d bytes, and not the %d that were sent", len(got), want.Len())
	}
	<-said
	p.stop(exitDone)
}

func TestAStdoutThatIsGoneEndsTheServer(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0"}, stdout: w}.start(t)
	_ = w.Close()
	c := p.client()
	c.Says("heard\n")
	heard := make([]byte, 6)
	if n, err := r.Read(heard); err != nil || string(heard[:n]) != "heard\n" {
		t.Fatalf("on STDOUT there is %q, %v", heard[:n], err)
	}
	_ = r.Close()
	if runtime.GOOS != "linux" {
		c.Says("not heard\n") // elsewhere only a write finds out
	}
	p.exits(exitFailed)
	p.stderr.Until(t, "hubbub: write STDOUT: broken pipe\n")
	c.hearsEnd()
}

// The loss of a reader is noticed while the pipe is full, too.
func TestAFullStdoutThatIsGoneEndsTheServer(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	fill(t, w)
	p := launch{args: []string{"serve", "127.0.0.1:0"}, stdout: w}.start(t)
	_ = w.Close()
	p.client().Says("no room\n")
	_ = r.Close()
	p.exits(exitFailed)
	p.stderr.Until(t, "hubbub: write STDOUT: broken pipe\n")
}

func TestAStdoutThatIsFullOfErrorsEndsTheServer(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	p := launch{args: []string{"serve", "127.0.0.1:0"}, stdout: full}.start(t)
	p.client().Says("hello\n")
	p.exits(exitFailed)
	p.stderr.Until(t, "hubbub: write STDOUT: no space left on device\n")
}

// With --send-only nothing is written, so nobody needs to read.
func TestSendOnlyNeedsNoStdout(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--send-only", "--wait-for", "1"}, stdout: w}.start(t)
	_, _ = w.Close(), r.Close()
	c := p.client()
	p.says("hello\n")
	c.Hears("hello\n")
	p.stop(exitDone)
}

func TestStdoutMayBeClosed(t *testing.T) {
	t.Parallel()
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "1"}, shell: `exec hubbub "$@" >&-`}.start(t)
	c := p.client()
	c.Says("into the void\n")
	p.says("hello\n")
	c.Hears("hello\n")
	p.stop(exitDone)
}

// Earlier content of the file stays, and ours is appended.
func TestStdoutMayBeAFileToAppendTo(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := launch{args: []string{f.Name(), "serve", "127.0.0.1:0"}, shell: `f=$1; shift; echo before >"$f"; exec hubbub "$@" >>"$f"`}.start(t)
	c := p.client()
	c.Says("after\n")
	c.Done()
	c.hearsEnd()
	p.stop(exitDone)
	if data, err := os.ReadFile(f.Name()); err != nil || string(data) != "before\nafter\n" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

func TestATerminalIsShownControlBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ out, want string }{
		{"plain", "\\x1b[2J\\x07 \\u202e \\x9b caf\u00e9\ttab\r\n"},
		{"tagged", "1\t\\x1b[2J\\x07 \\u202e \\x9b caf\u00e9\ttab\r\n"},
	} {
		t.Run(tt.out, func(t *testing.T) {
			terminal, theirs := openTerminal(t)
			shown := scene.Collect(terminal)
			p := launch{args: []string{"serve", "127.0.0.1:0", "--out", tt.out}, stdout: theirs}.start(t)
			p.client().Says("\x1b[2J\a \u202e \x9b caf\u00e9\ttab\n")
			shown.Is(t, tt.want)
		})
	}
}

func TestPipedOutputStaysByteForByte(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	var every []byte
	for c := range 256 {
		if c != '\n' {
			every = append(every, byte(c))
		}
	}
	p.client().Says(string(every) + "\n")
	p.stdout.Is(t, string(every)+"\n")
}

func TestStdoutIsNeverMadeNonblocking(t *testing.T) {
	t.Parallel()
	_, w := scene.Pipe(t)
	_, slave := openTerminal(t)
	for _, tt := range []struct {
		name string
		out  *os.File
	}{{"pipe", w}, {"terminal", slave}} {
		t.Run(tt.name, func(t *testing.T) {
			p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "1"}, stdout: tt.out}.start(t)
			c := p.client()
			c.Says("a line\n")
			p.says("a line\n")
			c.Hears("a line\n")
			if isNonblocking(t, tt.out) {
				t.Errorf("the %s is nonblocking", tt.name)
			}
		})
	}
}

// Another program that shares STDOUT may make it nonblocking; a full STDOUT is
// then no reason to give up.
func TestStdoutMayBecomeNonblocking(t *testing.T) {
	t.Parallel()
	ours, theirs := scene.SocketPair(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "2"}, stdout: theirs}.start(t)
	c, listener := p.client(), p.client()
	p.says("all here\n")
	c.Hears("all here\n")
	listener.Hears("all here\n")
	fd, _ := stdio.Descriptor(theirs)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	filled := 0
	for {
		n, err := unix.Write(fd, []byte("."))
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		filled += n
	}
	c.Says("a line that finds no room\n")
	c.Done()
	c.hearsEnd() // so it was read
	for range 200 {
		p.says("still there?\n")
		listener.Hears("still there?\n")
	}
	scene.Collect(ours).Is(t, strings.Repeat(".", filled)+"a line that finds no room\n")
	p.stop(exitDone)
}
