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

	"hubbub.example/internal/scene"
)

// This file is the console where it is used; package console has what it can do.

// desk is hubbub on a terminal of its own.
type desk struct {
	*program
	terminal, theirs *os.File
	screen           *scene.Output // what was ever written to it
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
	return &desk{program: l.start(t), terminal: ours, theirs: theirs, screen: scene.Collect(ours), before: before}
}

func (d *desk) types(text string) {
	d.t.Helper()
	typed(d.t, d.terminal, text)
}

// at returns where it says that it listens.
func (d *desk) at() string {
	d.t.Helper()
	at := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	text := d.screen.When(d.t, "its address", func(text string, _ bool) bool { return at.MatchString(text) })
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
	d.screen.When(d.t, "pastes are bracketed no more", func(text string, _ bool) bool {
		return strings.Count(text, "\x1b[?2004h") == strings.Count(text, "\x1b[?2004l")
	})
}

func TestServersConsole(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--replay", "none")
	c := dial(t, d.at())
	c.Says("hello \x1b[2J\n")
	d.screen.Until(t, `hello \x1b[2J`)
	d.types("to all\r")
	c.Hears("to all\n")
	d.types("/to 1 psst\r")
	c.Hears("psst\n")
	d.types("/who\r")
	d.screen.Until(t, "127.0.0.1:")
	d.types("/mute 1\r")
	d.screen.Until(t, "muted 1")
	d.screen.Until(t, "0 B muted") // in /who
	c.Says("not heard\n")
	d.types("/unmute 1\r")
	d.screen.Until(t, "unmuted 1")
	c.Says("heard\n")
	d.screen.Until(t, "heard")
	ann := start(t, "join", d.at(), "--name", "ann", "-v")
	ann.stderr.Until(t, "connected")
	d.types("/to ann by name\r")
	ann.stdout.Until(t, "by name\n")
	d.types("/kick 1 enough\r")
	c.hearsEnd()
	d.types("/to 1 psst\r")
	d.screen.Until(t, "there is no client 1")
	if strings.Contains(d.screen.Text(), "not heard") {
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
			d.screen.Until(t, "half a li")
			d.signal(s)
			d.givesBack(code)
		})
	}
}

func TestConsoleInFrontOfACommand(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--json", "--", "sh", "-c", `echo "from the command" >&2; exec cat > /dev/null`)
	c := dial(t, d.at())
	d.screen.Until(t, "from the command")
	c.Says("hello\n")
	d.screen.Until(t, "hello")
	d.types("to all\r")
	c.Hears("to all\n")
	d.types("/quit\r")
	d.givesBack(0)
}

func TestNoConsole(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--no-console")
	c := dial(t, d.at())
	d.types("to all\n")
	c.Says("hello\n")
	c.Hears("to all\n")
	d.screen.Until(t, "hello\r\n")
	d.signal(syscall.SIGTERM)
	d.givesBack(0)
}

func TestJoinsConsole(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--relay")
	d := sitDown(t, "join", p.address(), "--name", "ann")
	d.types("from the console\r")
	p.stdout.Until(t, "from the console\n")
	p.says("to \x1b[2Jall\n")
	d.screen.Until(t, `to \x1b[2Jall`)
	other := dial(t, p.address())
	other.Says("from another\n")
	d.screen.Until(t, "from another")
	for _, rate := range []string{`in (0\.[1-9]|[1-9])`, `out (0\.[1-9]|[1-9])`} { // once
		said := regexp.MustCompile(rate)
		d.screen.When(t, rate, func(text string, _ bool) bool { return said.MatchString(text) })
	}
	d.types("/quit\r")
	d.givesBack(0)
}

// The console of join passes the room's slash commands to the room, and one of its
// own after two slashes.
func TestJoinsConsoleInARoom(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--chat")
	d := sitDown(t, "join", p.address(), "--name", "ann")
	p.stdout.Until(t, "* ann is here\n")
	d.types("/nick bob\r")
	d.screen.Until(t, "* ann is now bob\r\n")
	d.types("/who\r")
	d.screen.Until(t, "* bob (hubbub.v1), since ")
	d.types("//help\r")
	d.screen.Until(t, "* /nick NAME")
	d.types("/help\r")
	d.screen.Until(t, "/others")
	d.types("/quit\r")
	d.givesBack(0)
	p.stdout.Until(t, "* bob has left\n")
}

// Lines from the console of a room come from the operator, for everybody, and
// nobody else can look like the operator.
func TestOperatorInARoom(t *testing.T) {
	t.Parallel()
	d := sitDown(t, "serve", "127.0.0.1:0", "--chat", "--replay", "none")
	ann := dial(t, d.at())
	ann.Says("/nick ann\n")
	d.screen.Until(t, "is now ann")
	ann.until("is now ann\n")
	d.types("hello all\r")
	ann.Hears("operator: hello all\n")
	d.screen.Until(t, "operator: hello all\r\n")
	d.types("/to ann psst\r")
	ann.Hears("operator, to you: psst\n")
	bob := start(t, "join", d.at(), "--name", "operator:")
	ann.Hears("* operator: is here\n")
	bob.says("hi\n")
	ann.Hears("<operator:> hi\n")
	d.types("/quit\r")
	d.givesBack(0)
}
