//go:build linux

package lesson

// This file is the stage for the scenes in lesson_test.go:
//
//	program   one of the four, compiled and running: say to its input, see what it prints
//	peer      the test's own end of a connection, as a client or as a server
//	turn      a whole turn of a naive program's loop has passed
//	clock     a while has passed, told in turns of another naive server
//
// Every wait is for something that happens; scene.LongEnough only bounds it.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/scene"
)

func TestMain(m *testing.M) {
	scene.Signals()
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// programs is the folder of the four programs, once there is one.
var programs string

// compiled is the folder with the four programs in it.
var compiled = sync.OnceValues(func() (string, error) {
	// Looked at for go test, which else would not know that its last result
	// depends on them.
	sources, err := filepath.Glob("*/main.go")
	if err != nil {
		return "", err
	}
	for _, source := range sources {
		if _, err := os.Stat(source); err != nil {
			return "", err
		}
	}

	programs, err = os.MkdirTemp("", "lesson")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", programs, "./...")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", build, err, out)
	}
	return programs, nil
})

// program is a running program of the lesson.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  *os.File // our end of its standard input
	theirs *os.File // its own end, kept to look at
	stdout <-chan string
	stderr <-chan string
	ended  <-chan struct{}

	address string // where a server listens
}

// start runs a program until it ends, or the test does.
func start(t *testing.T, name, address string) *program {
	t.Helper()
	return startPrintingTo(t, nil, name, address)
}

// serve starts a server on a free port and waits until it listens.
func serve(t *testing.T, name string) *program {
	t.Helper()
	return servePrintingTo(t, nil, name)
}

// servePrintingTo is serve with another standard output than a pipe that is
// read all the time.
func servePrintingTo(t *testing.T, stdout *os.File, name string) *program {
	t.Helper()
	p := startPrintingTo(t, stdout, name, "127.0.0.1:0")
	p.listens()
	return p
}

func startPrintingTo(t *testing.T, elsewhere *os.File, name, address string) *program {
	t.Helper()
	dir, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, name), address)
	p := &program{t: t, cmd: cmd}
	p.theirs, p.stdin = scene.Pipe(t)
	cmd.Stdin = p.theirs

	complaints, stderr := scene.Pipe(t)
	cmd.Stderr = stderr
	out, stdout := scene.Pipe(t)
	cmd.Stdout = stdout
	if elsewhere != nil {
		cmd.Stdout = elsewhere
	}

	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	_ = stderr.Close()
	p.stdout, p.stderr = lines(out), lines(complaints)
	p.ended = wait(cmd)
	t.Cleanup(p.kill)
	return p
}

// listens waits until a server says where.
func (p *program) listens() {
	p.t.Helper()
	line, _ := next(p.t, p.stderr)
	address, ok := strings.CutPrefix(line, "listening on ")
	if !ok {
		p.t.Fatalf("the first line on standard error is %q, not the address", line)
	}
	p.address = address
}

// lines returns what comes out of r line by line, the last with or without its
// newline, and then ends.
func lines(r io.Reader) <-chan string {
	out := make(chan string, 64)
	go func() {
		defer close(out)
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				out <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

func wait(cmd *exec.Cmd) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(ended)
	}()
	return ended
}

// allow sets a limit of setrlimit(2) on the running p.
func (p *program) allow(resource int, n uint64) {
	p.t.Helper()
	if err := unix.Prlimit(p.cmd.Process.Pid, resource, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
		p.t.Fatal("prlimit:", err)
	}
}

// kill ends p, if it has not ended, and returns when it has.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	for range p.stdout { // whoever still reads it may stop
	}
	for range p.stderr {
	}
}

// say types text on p's standard input. What does not fit into the pipe has
// been read by p when say returns.
func (p *program) say(text string) {
	p.t.Helper()
	if err := p.trySay(text); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) trySay(text string) error {
	_ = p.stdin.SetWriteDeadline(time.Now().Add(scene.LongEnough))
	_, err := io.WriteString(p.stdin, text)
	return err
}

// sayUntilItEnds types line again and again for as long as p lives.
func (p *program) sayUntilItEnds(line string) {
	p.t.Helper()
	_ = p.theirs.Close() // now a write says that p has gone
	for limit := time.Now().Add(scene.LongEnough); p.trySay(line) == nil; {
		if time.Now().After(limit) {
			p.t.Fatal("it does not end")
		}
	}
}

// sayNoMore is the end of p's standard input.
func (p *program) sayNoMore() {
	_ = p.stdin.Close()
}

// prints waits for p's next line on standard output, which must be want.
func (p *program) prints(want string) {
	p.t.Helper()
	if got, ok := next(p.t, p.stdout); !ok || got != want {
		p.t.Fatalf("it printed %q, not %q", got, want)
	}
}

// logs waits for a line on standard error that begins with want.
func (p *program) logs(want string) {
	p.t.Helper()
	for {
		line, ok := next(p.t, p.stderr)
		if !ok {
			p.t.Fatalf("it ended without saying %q on standard error", want)
		}
		if strings.HasPrefix(line, want) {
			return
		}
	}
}

// printedUntilKilled returns what p printed and nobody looked at, p being killed.
func (p *program) printedUntilKilled() []string {
	_ = p.cmd.Process.Kill()
	<-p.ended
	return rest(p.stdout)
}

// exits waits for p's end, which must be an exit with code.
func (p *program) exits(code int) {
	p.t.Helper()
	if status := p.status(); !status.Exited() || status.ExitStatus() != code {
		p.t.Fatalf("it ended with %v, not exit status %d", p.cmd.ProcessState, code)
	}
}

// diesOf waits for p's end, which must be a signal's doing.
func (p *program) diesOf(signal syscall.Signal) {
	p.t.Helper()
	if status := p.status(); !status.Signaled() || status.Signal() != signal {
		p.t.Fatalf("it ended with %v, not by the signal %v", p.cmd.ProcessState, signal)
	}
}

func (p *program) status() syscall.WaitStatus {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(scene.LongEnough):
		p.t.Fatal("it does not end")
	}
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func next(t *testing.T, lines <-chan string) (line string, ok bool) {
	t.Helper()
	select {
	case line, ok = <-lines:
		return line, ok
	case <-time.After(scene.LongEnough):
		t.Fatal("nothing comes")
		return "", false
	}
}

func rest(lines <-chan string) (all []string) {
	for line := range lines {
		all = append(all, line)
	}
	return all
}

// peer is the test's own end of a connection with a program.
type peer struct{ *scene.Peer }

// connect returns a client of the server at address.
func connect(t *testing.T, address string) *peer {
	t.Helper()
	return &peer{scene.Dial(t, address)}
}

// connectSmall returns one that takes little before it reads.
func connectSmall(t *testing.T, address string) *peer {
	t.Helper()
	return &peer{scene.DialNarrow(t, address)}
}

func smallReceiveBuffer(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	})
}

// listen returns a server for a client program to connect to.
func listen(t *testing.T) net.Listener {
	t.Helper()
	config := net.ListenConfig{Control: smallReceiveBuffer}
	l, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(scene.LongEnough))
	return l
}

func accept(t *testing.T, l net.Listener) *peer {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return &peer{scene.NewPeer(t, conn)}
}

// hears waits for the next line, which must be want.
func (c *peer) hears(want string) {
	c.T.Helper()
	got, err := c.R.ReadString('\n')
	if err != nil || got != want+"\n" {
		c.T.Fatalf("heard %.80q, %v, not %q", got, err, want)
	}
}

// hearsNothing looks, without waiting: there is nothing to read, not even an
// end of file.
func (c *peer) hearsNothing() {
	c.T.Helper()
	if n := c.R.Buffered(); n > 0 {
		c.T.Fatalf("heard %d bytes too many", n)
	}
	n, err := c.peek(make([]byte, 80))
	if err != unix.EAGAIN {
		c.T.Fatalf("heard something: %d bytes, error %v", n, err)
	}
}

// heardSoFar returns what has come and was not read, without waiting for more.
func (c *peer) heardSoFar() string {
	c.T.Helper()
	said := make([]byte, 80)
	n, err := c.peek(said)
	if err != nil && err != unix.EAGAIN {
		c.T.Fatal(err)
	}
	return string(said[:max(n, 0)])
}

func (c *peer) peek(p []byte) (n int, err error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	_ = raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return n, err
}

// turn returns when p has gone round its loop: a message read in one turn is
// printed before the next begins, and tock was not sent before.
func turn(p *program, c *peer, speaker string) {
	p.t.Helper()
	for _, word := range []string{"tick", "tock"} {
		c.Says(word + "\n")
		p.prints(speaker + ": " + word)
	}
}

// clock starts a naive server of its own. Each call returns when that one has
// gone round its loop a good many times: time enough for any program that is
// not waiting for something else.
func clock(t *testing.T) func() {
	t.Helper()
	p := serve(t, "naive-server")
	c := connect(t, p.address)
	return func() {
		t.Helper()
		for range 50 {
			turn(p, c, "client")
		}
	}
}
