//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
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

	"hubbub.example/internal/stdio"
)

// longEnough bounds every wait. A test that passes never waits so long.
const longEnough = time.Minute

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
	stdout *output
	stderr *output
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
		r, w := pipe(t)
		p.cmd.Stdin, p.stdin, theirs = r, w, append(theirs, r)
	}
	for _, out := range []struct {
		given *os.File
		at    *io.Writer
		to    **output
	}{{l.stdout, &p.cmd.Stdout, &p.stdout}, {l.stderr, &p.cmd.Stderr, &p.stderr}} {
		if *out.at = out.given; out.given == nil {
			r, w := pipe(t)
			*out.at, *out.to, theirs = w, collect(r), append(theirs, w)
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

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range pair {
		unix.CloseOnExec(fd)
	}
	ours, theirs = os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
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
		p.t.Logf("STDERR of %s:\n%s", strings.Join(p.cmd.Args, " "), p.stderr.text())
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

// signals sends these in one instant, however busy the machine is: the program
// is stopped until all are sent.
func (p *program) signals(all ...syscall.Signal) {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		p.t.Fatalf("it does not stop: %v, %v", status, err)
	}
	for _, s := range append(all, syscall.SIGCONT) {
		p.signal(s)
	}
}

// stop asks it to end, and waits for that. Clients that the test left open
// close when they are told of the end; else the server would wait for them.
func (p *program) stop(want int) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.peers {
		_, _ = io.Copy(io.Discard, c.r)
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
	case <-time.After(longEnough):
		p.t.Fatalf("hubbub does not exit")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		p.t.Fatalf("exit code %d (%v), want %d", got, p.cmd.ProcessState, want)
	}
}

// address is where it listens first.
func (p *program) address() string {
	p.t.Helper()
	first, _, _ := strings.Cut(p.stderr.until(p.t, "\n"), "\n")
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
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialOnce(address string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.DialTimeout("unix", path, longEnough)
	}
	return net.DialTimeout("tcp", address, longEnough)
}

func dial(t *testing.T, address string) *peer {
	t.Helper()
	c, err := dialOnce(address)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, c)
}

func newPeer(t *testing.T, c net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(longEnough)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, Conn: c, r: bufio.NewReader(c)}
}

func (c *peer) says(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// done half-closes: nothing more will be said.
func (c *peer) done() {
	c.t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}

// hears waits for exactly this.
func (c *peer) hears(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if string(got[:n]) != want {
		c.t.Fatalf("a client got (%v) %s, want %s", err, brief(string(got[:n])), brief(want))
	}
}

// hearsEnd waits for the end of file, and for nothing before it; then it
// closes, as any client does.
func (c *peer) hearsEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("a client got %s (%v), want the end of file", brief(string(rest)), err)
	}
	_ = c.Close()
}

// brief is text as a failure can show it.
func brief(text string) string {
	const most = 500
	if len(text) <= 2*most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%d bytes, %q ... %q", len(text), text[:most], text[len(text)-most:])
}

// output collects what a program writes.
type output struct {
	mu   sync.Mutex
	data []byte
	end  bool
	more chan struct{} // closed at the next change
}

func collect(r io.Reader) *output {
	o := &output{more: make(chan struct{})}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			o.add(buf[:n], err != nil)
			if err != nil {
				return
			}
		}
	}()
	return o
}

func (o *output) add(p []byte, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p...)
	o.end = end
	close(o.more)
	o.more = make(chan struct{})
}

func (o *output) now() (text string, end bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.data), o.end, o.more
}

func (o *output) text() string {
	text, _, _ := o.now()
	return text
}

// when waits until ok and returns all there is.
func (o *output) when(t *testing.T, what string, ok func(text string, end bool) bool) string {
	t.Helper()
	limit := time.After(longEnough)
	for {
		text, end, more := o.now()
		if ok(text, end) {
			return text
		}
		if end {
			t.Fatalf("at its end, waiting for %s, there is only %s", what, brief(text))
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("still waiting for %s there is %s", what, brief(text))
		}
	}
}

// until waits until want is there.
func (o *output) until(t *testing.T, want string) string {
	t.Helper()
	return o.when(t, fmt.Sprintf("%q", want), func(text string, _ bool) bool { return strings.Contains(text, want) })
}

// is waits until all there is is want; more than that is an error.
func (o *output) is(t *testing.T, want string) {
	t.Helper()
	got := o.when(t, brief(want), func(text string, end bool) bool { return len(text) >= len(want) || end })
	if got != want {
		t.Fatalf("there is %s, want %s", brief(got), brief(want))
	}
}

// ends waits for its end and returns all there was.
func (o *output) ends(t *testing.T) string {
	t.Helper()
	return o.when(t, "the end", func(_ string, end bool) bool { return end })
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
