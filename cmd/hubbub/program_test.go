//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
	"hubbub.example/internal/stdio"
)

// launch says how to start hubbub. A nil file is a pipe to the test, and what
// comes out of it is collected.
type launch struct {
	args                  []string
	stdin, stdout, stderr *os.File
	shell                 string     // sh runs this instead, with args as "$@"
	shared                []*os.File // descriptors 3 and up
	session               bool       // it leads a session, and stdin is that session's terminal
}

// program is a running hubbub.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  *os.File // our end of its STDIN
	stdout *scene.Output
	stderr *scene.Output
	ended  chan struct{}

	mu    sync.Mutex
	peers []*peer // that client made
}

// start runs hubbub with its three files piped to the test.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	return launch{args: args}.start(t)
}

func (l launch) start(t *testing.T) *program {
	t.Helper()
	name, args := "hubbub", l.args
	if l.shell != "" {
		name, args = "sh", append([]string{"-c", l.shell, "sh"}, l.args...)
	}
	p := &program{t: t, cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.ExtraFiles = l.shared
	// Under -race a program would wait a second for reports before it exits.
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	if l.session {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	var theirs []*os.File
	if p.cmd.Stdin = l.stdin; l.stdin == nil {
		r, w := scene.Pipe(t)
		p.cmd.Stdin, p.stdin, theirs = r, w, append(theirs, r)
	}
	for _, out := range []struct {
		given *os.File
		at    *io.Writer
		to    **scene.Output
	}{{l.stdout, &p.cmd.Stdout, &p.stdout}, {l.stderr, &p.cmd.Stderr, &p.stderr}} {
		if *out.at = out.given; out.given == nil {
			r, w := scene.Pipe(t)
			*out.at, *out.to, theirs = w, scene.Collect(r), append(theirs, w)
		}
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.kill)
	return p
}

// writable asks the system whether a write to fd would not wait.
func writable(t *testing.T, fd int) bool {
	t.Helper()
	at := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(at, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.followsItsSchema()
	if p.t.Failed() && p.stderr != nil {
		p.t.Logf("STDERR of %s:\n%s", strings.Join(p.cmd.Args, " "), p.stderr.Text())
	}
}

// says writes text to STDIN.
func (p *program) says(text string) {
	p.t.Helper()
	if _, err := p.stdin.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stopped does f while the program is stopped.
func (p *program) stopped(f func()) {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("it does not stop: %v, %v", status, err)
	}
	f()
	p.signal(syscall.SIGCONT)
}

// signals sends these in one instant, however busy the machine is: the program
// is stopped until all are sent.
func (p *program) signals(all ...syscall.Signal) {
	p.t.Helper()
	p.stopped(func() {
		for _, s := range all {
			p.signal(s)
		}
	})
}

// stop asks it to end, and waits for that. Clients that the test left open
// close when they are told of the end; else the server would wait for them.
func (p *program) stop(want int) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.peers {
		_, _ = io.Copy(io.Discard, c.R)
		_ = c.Close()
	}
	p.exits(want)
}

// insists sends one more signal, late enough that it is not taken for the
// same as the last.
func (p *program) insists(s syscall.Signal) {
	p.t.Helper()
	<-time.After(2 * oneInstant)
	p.signal(s)
}

// exits waits for its end, and for this exit code.
func (p *program) exits(want int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(scene.LongEnough):
		p.t.Fatalf("hubbub does not exit")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		p.t.Fatalf("exit code %d (%v), want %d", got, p.cmd.ProcessState, want)
	}
}

// address returns where it listens first.
func (p *program) address() string {
	p.t.Helper()
	first, _, _ := strings.Cut(p.stderr.Until(p.t, "\n"), "\n")
	var r record
	if json.Unmarshal([]byte(first), &r) == nil {
		first = r.Msg
	}
	address, ok := strings.CutPrefix(first, "listening on ")
	if !ok {
		p.t.Fatalf("the first line on STDERR is %q", first)
	}
	return address
}

// firstAddress is program.address for a STDERR that the test has.
func firstAddress(t *testing.T, stderr *os.File) string {
	t.Helper()
	line := make([]byte, 256)
	n, err := stderr.Read(line)
	address, ok := strings.CutPrefix(string(line[:n]), "listening on ")
	if err != nil || !ok {
		t.Fatalf("STDERR says %q, %v", line[:n], err)
	}
	return strings.TrimSuffix(address, "\n")
}

// client connects to it.
func (p *program) client() *peer {
	p.t.Helper()
	c := dial(p.t, p.address())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peers = append(p.peers, c)
	return c
}

// peer is a client of the plainest kind.
type peer struct{ *scene.Peer }

func dial(t *testing.T, address string) *peer {
	t.Helper()
	return &peer{scene.Dial(t, address)}
}

func newPeer(t *testing.T, c net.Conn) *peer {
	t.Helper()
	return &peer{scene.NewPeer(t, c)}
}

// hearsEnd waits for the end of file, and for nothing before it; then it
// closes, as any client does.
func (c *peer) hearsEnd() {
	c.T.Helper()
	c.HearsEnd()
	_ = c.Close()
}

// fill writes to a pipe until it is full, and returns how much that was. The
// pipe's other writer shares the flag that would make it nonblocking, so the
// system is asked before each write.
func fill(t *testing.T, w *os.File) int {
	t.Helper()
	fd, ok := stdio.Descriptor(w)
	if !ok {
		t.Fatal("no descriptor")
	}
	total, chunk := 0, bytes.Repeat([]byte("."), 4096)
	for writable(t, fd) {
		n, err := unix.Write(fd, chunk)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}
