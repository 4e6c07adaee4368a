//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/stdio"
)

// STDIN may be any of these, with the same result.
func TestStdinMayBe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("a\nb"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, shell, want string }{
		{"a pipe", `printf 'a\nb' | hubbub "$@"`, "a\nb\n"},
		{"a file", `exec hubbub "$@" <` + path, "a\nb\n"},
		{"a file that is not at its beginning", `exec <` + path + `; read -r _; exec hubbub "$@"`, "b\n"},
		{"/dev/null", `exec hubbub "$@" </dev/null`, ""},
		{"closed", `exec hubbub "$@" <&-`, ""},
		{"a socket", `exec hubbub "$@" <&3`, "a\nb\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := launch{
				args:  []string{"serve", "127.0.0.1:0", "--wait-for", "1", "--eof", "exit"},
				shell: tt.shell, shared: []*os.File{socketHolding(t, "a\nb")},
			}
			p := l.start(t)
			c := p.client()
			c.Hears(tt.want)
			c.hearsEnd()
			p.exits(exitDone)
			if said := p.stderr.Ends(t); strings.Count(said, "\n") != 1 {
				t.Errorf("STDERR says %q", said)
			}
		})
	}
}

// socketHolding returns a socket from which text can be read, then end of file.
func socketHolding(t *testing.T, text string) *os.File {
	t.Helper()
	ours, theirs := scene.SocketPair(t)
	if _, err := ours.WriteString(text); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	return theirs
}

func TestStdinMayBeATerminal(t *testing.T) {
	t.Parallel()
	terminal, theirs := openTerminal(t)
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "1", "--eof", "exit"}, stdin: theirs}.start(t)
	c := p.client()
	typed(t, terminal, "hello\n")
	c.Hears("hello\n")
	typed(t, terminal, "\x04") // ^D
	c.hearsEnd()
	p.exits(exitDone)
}

// The kernel stops a background job that reads from the terminal.
func TestABackgroundJobLeavesTheTerminalAlone(t *testing.T) {
	t.Parallel()
	terminal, theirs := openTerminal(t)
	pids, tell := scene.Pipe(t)
	p := launch{
		args: []string{"serve", "127.0.0.1:0"}, stdin: theirs, session: true, shared: []*os.File{tell},
		shell: `set -m; hubbub "$@" & echo $! >&3; exec 3>&-; wait`,
	}.start(t)
	var pid int
	if _, err := fmt.Fscan(pids, &pid); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	c := p.client()
	for _, line := range []string{"one\n", "two\n"} {
		typed(t, terminal, "for the shell\n")
		c.Says(line)
		p.stdout.Until(t, line)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.exits(exitDone)
}

// The flag is shared with the shell and with other programs that have the pipe or
// terminal open.
func TestStdinIsNeverMadeNonblocking(t *testing.T) {
	t.Parallel()
	r, w := scene.Pipe(t)
	terminal, slave := openTerminal(t)
	for _, tt := range []struct {
		name         string
		in, writeEnd *os.File
	}{{"pipe", r, w}, {"terminal", slave, terminal}} {
		t.Run(tt.name, func(t *testing.T) {
			p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "1"}, stdin: tt.in}.start(t)
			c := p.client()
			if _, err := tt.writeEnd.WriteString("a line\n"); err != nil {
				t.Fatal(err)
			}
			c.Hears("a line\n")
			if isNonblocking(t, tt.in) {
				t.Errorf("the %s is nonblocking", tt.name)
			}
		})
	}
}

func isNonblocking(t *testing.T, f *os.File) bool {
	t.Helper()
	fd, _ := stdio.Descriptor(f)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Fd() // as every program gets it: blocking
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

func typed(t *testing.T, terminal *os.File, text string) {
	t.Helper()
	if _, err := terminal.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestTheLastLineNeedsNoNewline(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "1")
	c := p.client()
	p.says("a\nb")
	_ = p.stdin.Close()
	c.Hears("a\nb\n")
}

func TestNULsAreKept(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "1")
	c := p.client()
	p.says("a\x00b\x00\n\x00\n")
	c.Hears("a\x00b\x00\n\x00\n")
	c.Says("\x00a\x00\n")
	p.stdout.Is(t, "\x00a\x00\n")
}

func TestTheServerOutlivesStdin(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0")
	a := p.client()
	p.says("bye\n")
	_ = p.stdin.Close()
	a.Hears("bye\n")
	b := p.client()
	b.Says("hello\n")
	p.stdout.Is(t, "hello\n")
}

func TestStdinWaitsForClients(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "2", "--replay", "none")
	p.says("for two\n")
	a := p.client()
	a.Says("alone\n")
	p.stdout.Is(t, "alone\n")
	b := p.client()
	a.Hears("for two\n")
	b.Hears("for two\n")
}

func TestALineOfStdinTooLongGoesOnInPieces(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--max-line", "1000B", "--wait-for", "1", "--eof", "exit")
	c := p.client()
	p.says(strings.Repeat("x", 2500) + "\n")
	_ = p.stdin.Close()
	c.Hears(strings.Repeat("x", 1000) + "\n" + strings.Repeat("x", 1000) + "\n" + strings.Repeat("x", 500) + "\n")
	c.hearsEnd()
	p.exits(exitDone)
	p.stderr.Until(t, "hubbub: ")
}

// Every byte of a file larger than any buffer arrives before the exit.
func TestExitAtTheEndOfStdinDeliversAll(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for text.Len() < 20<<20 {
		text.WriteString("a line of a large file, and one more, and one more, and one more\n")
	}
	path := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p := launch{args: []string{"serve", "127.0.0.1:0", "--wait-for", "2", "--eof", "exit", "--backlog", "1MiB"}, stdin: in}.start(t)
	a, b := p.client(), p.client()
	heard := make(chan bool)
	go func() { defer close(heard); b.Hears(text.String()) }()
	a.Hears(text.String())
	<-heard
	a.hearsEnd()
	p.exits(exitDone)
}

func TestWhatCouldNotBeDeliveredIsCountedAndSaid(t *testing.T) {
	t.Parallel()
	p := start(t, "serve", "127.0.0.1:0", "--wait-for", "1", "--eof", "exit", "--drain", "200ms")
	p.client() // never reads
	line := strings.Repeat("x", 1023) + "\n"
	for range 20 << 10 {
		p.says(line)
	}
	_ = p.stdin.Close()
	p.exits(exitFailed)
	said := p.stderr.Ends(t)
	last := said[strings.LastIndex(strings.TrimSuffix(said, "\n"), "\n")+1:]
	if !strings.HasPrefix(last, "hubbub: ") || !strings.Contains(last, "1 client") {
		t.Errorf("the last line on STDERR is %q", last)
	}
}
