//go:build unix

package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// This file is the console where it is used; package console has what it can do.

// desk is hubbub on a terminal of its own.
type desk struct {
	*program
	terminal, theirs *os.File
	screen           *output // what was ever written to it
	before           *term.State
}

func sitDown(t *testing.T, args ...string) *desk {
	t.Helper()
	ours, theirs := openTerminal(t)
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 30, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	l := launch{
		shell: `TERM=xterm NO_COLOR=1 exec "$@"`, args: append([]string{"hubbub"}, args...),
		stdin: theirs, stdout: theirs, stderr: theirs, session: true,
	}
	return &desk{program: l.start(t), terminal: ours, theirs: theirs, screen: collect(ours), before: before}
}

func (d *desk) types(text string) {
	d.t.Helper()
	typed(d.t, d.terminal, text)
}

// at is where it says that it listens.
func (d *desk) at() string {
	d.t.Helper()
	at := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	text := d.screen.when(d.t, "its address", func(text string, _ bool) bool { return at.MatchString(text) })
	return at.FindStringSubmatch(text)[1]
}

// givesBack waits for its end, and for the terminal as it was.
func (d *desk) givesBack(code int) {
	d.t.Helper()
	d.exits(code)
	after, err := term.GetState(int(d.theirs.Fd()))
	if err != nil || *after != *d.before {
		d.t.Errorf("the terminal is %+v, was %+v (%v)", after, d.before, err)
	}
	d.screen.when(d.t, "pastes are bracketed no more", func(text string, _ bool) bool {
		return strings.Count(text, "\x1b[?2004h") == strings.Count(text, "\x1b[?2004l")
	})
}

func TestServersConsole(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--replay", "none")
	c := dial(t, d.at())
	c.says("hello \x1b[2J\n")
	d.screen.until(t, `hello \x1b[2J`)
	d.types("to all\r")
	c.hears("to all\n")
	d.types("/to 1 psst\r")
	c.hears("psst\n")
	d.types("/who\r")
	d.screen.until(t, "127.0.0.1:")
	d.types("/mute 1\r")
	d.screen.until(t, "muted 1")
	d.screen.until(t, "0 B muted") // in /who
	c.says("not heard\n")
	d.types("/unmute 1\r")
	d.screen.until(t, "unmuted 1")
	c.says("heard\n")
	d.screen.until(t, "heard")
	ann := start(t, "join", d.at(), "--name", "ann", "-v")
	ann.stderr.until(t, "connected")
	d.types("/to ann by name\r")
	ann.stdout.until(t, "by name\n")
	d.types("/kick 1 enough\r")
	c.hearsEnd()
	d.types("/to 1 psst\r")
	d.screen.until(t, "there is no client 1")
	if strings.Contains(d.screen.text(), "not heard") {
		t.Error("who is muted is heard")
	}
	d.types("/quit\r")
	d.givesBack(0)
}

func TestServersConsoleEndsWithASignal(t *testing.T) {
	t.Parallel()
	for s, code := range map[syscall.Signal]int{syscall.SIGTERM: exitDone, syscall.SIGQUIT: exitFailed} {
		t.Run(s.String(), func(t *testing.T) {
			d := sitDown(t, "serve", "127.0.0.1:0")
			d.at()
			d.types("half a li")
			d.screen.until(t, "half a li")
			d.signal(s)
			d.givesBack(code)
		})
	}
}

func TestConsoleInFrontOfACommand(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--json", "--", "sh", "-c", `echo "from the command" >&2; exec cat > /dev/null`)
	c := dial(t, d.at())
	d.screen.until(t, "from the command")
	c.says("hello\n")
	d.screen.until(t, "hello")
	d.types("to all\r")
	c.hears("to all\n")
	d.types("/quit\r")
	d.givesBack(0)
}

func TestNoConsole(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--no-console")
	c := dial(t, d.at())
	d.types("to all\n")
	c.says("hello\n")
	c.hears("to all\n")
	d.screen.until(t, "hello\r\n")
	d.signal(syscall.SIGTERM)
	d.givesBack(0)
}

func TestJoinsConsole(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--relay")
	d := sitDown(t, "join", p.address(), "--name", "ann")
	d.types("from the console\r")
	p.stdout.until(t, "from the console\n")
	p.says("to \x1b[2Jall\n")
	d.screen.until(t, `to \x1b[2Jall`)
	other := dial(t, p.address())
	other.says("from another\n")
	d.screen.until(t, "from another")
	for _, rate := range []string{`in (0\.[1-9]|[1-9])`, `out (0\.[1-9]|[1-9])`} { // once
		said := regexp.MustCompile(rate)
		d.screen.when(t, rate, func(text string, _ bool) bool { return said.MatchString(text) })
	}
	d.types("/quit\r")
	d.givesBack(0)
}

// A room's commands go to the room, and so does one that the console has as
// well, behind two slashes.
func TestJoinsConsoleInARoom(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	d := sitDown(t, "join", p.address(), "--name", "ann")
	p.stdout.until(t, "* ann is here\n")
	d.types("/nick bob\r")
	d.screen.until(t, "* ann is now bob\r\n")
	d.types("/who\r")
	d.screen.until(t, "* bob (hubbub.v1), since ")
	d.types("//help\r")
	d.screen.until(t, "* /nick NAME")
	d.types("/help\r")
	d.screen.until(t, "/others")
	d.types("/quit\r")
	d.givesBack(0)
	p.stdout.until(t, "* bob has left\n")
}

// Who speaks from the console of a room is the operator, to everybody's eyes
// and to their own, and nobody else can be.
func TestOperatorInARoom(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := dial(t, d.at())
	ann.says("/nick ann\n")
	d.screen.until(t, "is now ann")
	ann.until("is now ann\n")
	d.types("hello all\r")
	ann.hears("operator: hello all\n")
	d.screen.until(t, "operator: hello all\r\n")
	d.types("/to ann psst\r")
	ann.hears("operator, to you: psst\n")
	bob := start(t, "join", d.at(), "--name", "operator:")
	ann.hears("* operator: is here\n")
	bob.says("hi\n")
	ann.hears("<operator:> hi\n")
	d.types("/quit\r")
	d.givesBack(0)
}
