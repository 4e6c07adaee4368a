//go:build unix

package child_test

// What the scenes are made of: a command that runs, what it is told, what it
// says, and what is said of it. The test binary is one of the commands.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"hubbub.example/internal/child"
	"hubbub.example/internal/scene"
)

const roleVariable = "CHILD_TEST_ROLE"

// roles are the commands that the test binary is.
var roles = map[string]func() error{
	"echo":   func() error { return echoRecords(os.Stdin, os.Stdout) },
	"clock":  func() error { fmt.Print(time.Now().UnixNano()); return errors.New("done") },
	"leaver": leaveProcess,
	"holder": func() error { <-time.After(time.Hour); return nil },
	"hub":    beHub,
}

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		scene.Signals()
		scene.AtOnce(8)
		os.Exit(m.Run())
	}
	if err := roles[role](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// as are the options that run the test binary in a role.
func as(role string) child.Options {
	return child.Options{Args: []string{os.Args[0]}, Env: []string{roleVariable + "=" + role}}
}

func sh(script string) child.Options {
	return child.Options{Args: []string{"/bin/sh", "-c", script}}
}

const recordSize = 16

// echoRecords reads one record at a time, and not a byte more, and says it.
func echoRecords(r io.Reader, w io.Writer) error {
	record := make([]byte, recordSize)
	for {
		if _, err := io.ReadFull(r, record); err != nil {
			return err
		}
		if _, err := w.Write(record); err != nil {
			return err
		}
	}
}

// leaveProcess says something, not to its end, and exits, but for a process in
// another session that has the same STDIN and STDOUT.
func leaveProcess() error {
	if os.Getenv("HUBBUB_START") == "2" {
		fmt.Println("the second")
		return nil
	}
	leftover := exec.Command(os.Args[0])
	leftover.Env = append(os.Environ(), roleVariable+"=holder")
	leftover.Stdin, leftover.Stdout = os.Stdin, os.Stdout
	leftover.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := leftover.Start(); err != nil {
		return err
	}
	fmt.Printf("%d\nlast words", leftover.Process.Pid)
	return errors.New("left")
}

// beHub runs what HUBBUB_TEST_SCRIPT says, until it is killed.
func beHub() error {
	o := sh(os.Getenv("HUBBUB_TEST_SCRIPT"))
	o.Env = []string{roleVariable + "="}
	o.Stderr = os.Stderr
	o.Input = func(ctx context.Context, _ *child.Process) { <-ctx.Done() }
	o.Output = func(_ context.Context, f *os.File) error { _, err := io.Copy(os.Stdout, f); return err }
	_, err := child.Run(context.Background(), o)
	return err
}

// command is one that runs.
type command struct {
	t      *testing.T
	stop   context.CancelFunc
	said   scene.Output // on all STDOUTs, "|" at the end of each
	warned scene.Output // a line each
	ends   chan child.End
	pids   chan int
	tell   chan []byte // what is to be written to it
	done   chan struct{}
	last   child.End
	err    error
}

// run runs o with a source and a sink, unless it has its own.
func run(t *testing.T, o child.Options) *command {
	t.Helper()
	c := &command{
		t:    t,
		ends: make(chan child.End, 1000), pids: make(chan int, 1000),
		tell: make(chan []byte, 10), done: make(chan struct{}),
	}
	if o.Input == nil {
		o.Input = c.input()
	}
	if o.Output == nil {
		o.Output = c.output
	}
	if o.Ended == nil {
		o.Ended = func(e child.End) { c.ends <- e }
	}
	o.Warnf = func(format string, args ...any) { fmt.Fprintf(&c.warned, format+"\n", args...) }
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() {
		defer close(c.done)
		c.last, c.err = child.Run(ctx, o)
	}()
	t.Cleanup(func() { stop(); <-c.done })
	return c
}

// input returns as a hub would be: what one process did not get goes to the next.
func (c *command) input() func(context.Context, *child.Process) {
	var rest []byte
	return func(ctx context.Context, p *child.Process) {
		c.pids <- p.PID
		for {
			n, err := p.Write(rest)
			rest = rest[n:]
			if err != nil {
				return
			}
			select {
			case rest = <-c.tell:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *command) output(_ context.Context, f *os.File) error {
	_, err := io.Copy(&c.said, f)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	fmt.Fprint(&c.said, "|")
	return err
}

func (c *command) says(text string) { c.tell <- []byte(text) }

// ended waits for the next end.
func (c *command) ended() child.End {
	c.t.Helper()
	return scene.Next(c.t, c.ends, "an end")
}

func (c *command) pid() int {
	c.t.Helper()
	return scene.Next(c.t, c.pids, "a process")
}

// returns waits until Run has.
func (c *command) returns() (child.End, error) {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(scene.LongEnough):
		c.t.Fatal("Run does not return")
	}
	return c.last, c.err
}

func (c *command) isStopped() child.End {
	c.t.Helper()
	c.stop()
	end, err := c.returns()
	if !errors.Is(err, context.Canceled) {
		c.t.Errorf("stopped, Run says %v", err)
	}
	return end
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Errorf("kill %d: %v", pid, err)
	}
}

// isGone waits until there is no process of that number but a dead one.
func isGone(t *testing.T, pid int) {
	t.Helper()
	scene.Until(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		return stateOf(pid) == "Z"
	})
}

// stateOf returns the letter that ps shows.
func stateOf(pid int) string {
	state, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return string(state[:min(len(state), 1)])
}
