//go:build linux

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A server under test is a process on a core of its own. The harness holds the other
// ends of its STDIN and STDOUT and reads its address from its STDERR.

// command is how to start a server.
type command struct {
	args  []string
	stdin string // a file for STDIN; empty: a pipe
	floor bool   // it is a bare loop
	port  int    // where it listens; 0: it prints its address
	cores unix.CPUSet
}

// server is a running server. One goroutine, locked to its thread, uses it.
type server struct {
	cmd   *exec.Cmd
	pid   int
	port  int
	in    int // our end of its STDIN, nonblocking; -1: a file
	out   int // our end of its STDOUT, nonblocking
	says  saying
	ended chan struct{}
}

// saying is the last lines of a server's STDERR, and how many clients it reported
// closed.
type saying struct {
	mu     sync.Mutex
	lines  []string
	closed int
}

func (s *saying) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	if len(s.lines) > 20 {
		s.lines = s.lines[1:]
	}
	if before, _, is := strings.Cut(line, " closed: "); is {
		n := 1
		_, others, _ := strings.Cut(before, "and ") // the log groups many of a kind
		_, _ = fmt.Sscanf(others, "%d other", &n)
		s.closed += n
	}
}

func (s *saying) cut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *saying) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// startWithin is how long a server may take to listen.
const startWithin = 10 * time.Second

func start(c command) (*server, error) {
	s := &server{cmd: exec.Command(c.args[0], c.args[1:]...), in: -1, out: -1, ended: make(chan struct{})}
	// The server dies with the harness. A floor needs no scheduler that interrupts
	// its one goroutine every 10 ms.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.floor {
		s.cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	}
	stderr, err := s.wire(c)
	if err == nil {
		err = startOn(c.cores, s.cmd.Start)
	}
	closeChildEnds(s.cmd)
	if err != nil {
		stderr.Close()
		s.closeEnds()
		return nil, err
	}
	s.pid = s.cmd.Process.Pid
	if err := s.awaitAddress(stderr, c.port); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w", strings.Join(c.args, " "), err)
	}
	return s, nil
}

// wire makes the pipes. The child's ends block, like a shell's; ours do not.
func (s *server) wire(c command) (stderr *os.File, err error) {
	defer catch(&err)
	if c.stdin == "" {
		s.cmd.Stdin, s.in = pipe(1)
	} else {
		s.cmd.Stdin = need(os.Open(c.stdin))
	}
	s.cmd.Stdout, s.out = pipe(0)
	// The limit for users may be lower; then the size stays as it was.
	_, _ = unix.FcntlInt(uintptr(s.out), unix.F_SETPIPE_SZ, pipeSize)
	read, write, err := os.Pipe()
	s.cmd.Stderr = write
	return read, err
}

// pipe returns a pipe, ours being one of its ends: 0 to read, 1 to write.
func pipe(ours int) (theirs *os.File, fd int) {
	var ends [2]int
	must(os.NewSyscallError("pipe2", unix.Pipe2(ends[:], unix.O_CLOEXEC)))
	must(unix.SetNonblock(ends[ours], true))
	return os.NewFile(uintptr(ends[1-ours]), "pipe"), ends[ours]
}

func closeChildEnds(cmd *exec.Cmd) {
	for _, end := range []any{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		if file, ok := end.(*os.File); ok && file != nil {
			file.Close()
		}
	}
}

// awaitAddress reads the first line of STDERR, unless the port is known. A goroutine
// reads the rest.
func (s *server) awaitAddress(stderr *os.File, port int) error {
	first := make(chan string, 1)
	go s.listen(stderr, first)
	if port != 0 {
		s.port = port
		return s.awaitListener()
	}
	select {
	case line := <-first:
		_, err := fmt.Sscanf(line, "listening on 127.0.0.1:%d", &s.port)
		if err != nil {
			return fmt.Errorf("no address on STDERR, but %q", line)
		}
		return nil
	case <-s.ended:
		return fmt.Errorf("ended: %s", &s.says)
	case <-time.After(startWithin):
		return errors.New("printed no address")
	}
}

// awaitListener tries until it can connect.
func (s *server) awaitListener() error {
	address := fmt.Sprintf("127.0.0.1:%d", s.port)
	for limit := time.After(startWithin); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-s.ended:
			return fmt.Errorf("ended: %s", &s.says)
		case <-limit:
			return fmt.Errorf("does not listen on %s", address)
		}
	}
}

// freePort returns a free port.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (s *server) listen(stderr *os.File, first chan<- string) {
	defer close(s.ended)
	defer stderr.Close()
	lines := bufio.NewScanner(stderr)
	for n := 0; lines.Scan(); n++ {
		s.says.add(lines.Text())
		if n == 0 {
			first <- lines.Text()
		}
	}
	_, _ = io.Copy(io.Discard, stderr)
}

// pause stops the server while do runs.
func (s *server) pause(do func() error) error {
	if err := unix.Kill(s.pid, unix.SIGSTOP); err != nil {
		return os.NewSyscallError("kill", err)
	}
	failed := do()
	err := unix.Kill(s.pid, unix.SIGCONT)
	return cmp.Or(failed, os.NewSyscallError("kill", err))
}

// stop kills the server. An orderly end is not measured.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	<-s.ended
	s.closeEnds()
}

func (s *server) closeEnds() {
	for _, fd := range []int{s.in, s.out} {
		if fd >= 0 {
			bareClose(fd)
		}
	}
}
