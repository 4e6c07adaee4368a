//go:build unix

// Package child keeps one command running and connects it by two pipes: we write
// to its STDIN and read from its STDOUT.
//
//	child.go     Run: from one process to the next
//	process.go   one process: its start, its two pipes, its end
//	input.go     what is written to it, and how much of that it never read
//	start.go     finding it, and the errors of starting it
//	restart.go   whether it is restarted, and when
//
// Each process gets a session of its own, and so a process group of its own and no
// terminal: ^C and ^Z reach only us, who end it in good order, and it cannot take
// keys from a console. Its STDERR is the file it is given.
//
// # At most once
//
// Each message goes to one process, at most once: a message that was cut off when
// a process exited is not written to the next. What a process left unread in its
// pipe is lost with it, and counted (End.Lost). What it had read, into buffers of
// its own too, is its own concern.
//
// # The end of a process
//
// When a process has exited, the processes it left behind in its group get
// SIGTERM. Their output is read to its end before the command is restarted. Those
// that still hold STDOUT when the restart is due get SIGKILL. For a process that
// has left the group as well, reading stops as soon as nothing is left to read.
//
// To stop the command, its group gets SIGTERM (and SIGCONT, in case it is
// stopped), then the end of its STDIN, and SIGKILL after Options.Grace. If we are
// killed ourselves, the process sees the end of its STDIN and a closed STDOUT; on
// Linux it gets SIGTERM too.
//
// Each platform defines:
//
//	// attributes are those of a process in a session of its own, which gets a
//	// signal at our end if the system can send one.
//	func attributes() *syscall.SysProcAttr
//
//	// untilDead waits until p has exited. Reap then frees its number, if that can
//	// be delayed: until then no other group can get that number.
//	func untilDead(p *os.Process) (reap func() (*os.ProcessState, error))
//
//	// reader opens the other end of the pipe that w writes, nonblocking; false
//	// if the system cannot do that.
//	func reader(w *os.File) (fd int, ok bool)
package child

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hubbub.example/internal/backoff"
	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// Options says what to run, and how.
type Options struct {
	// Args are the command, looked up in PATH, and its arguments.
	Args []string

	// Env is added to our environment, as NAME=VALUE; so is HUBBUB_START, the
	// number of this start: 1, 2, …
	Env []string

	// Stderr is its STDERR. nil means /dev/null.
	Stderr *os.File

	// Framing says where a message on its STDIN ends. The zero value is Lines.
	Framing framing.Framing

	// Restart says when a command that has exited is restarted.
	Restart Restart

	// Grace is the time between SIGTERM and SIGKILL. 0 means 5 s.
	Grace time.Duration

	// Input is called once per process and writes to it, until ctx is done or
	// Write fails; then it must return. The process sees the end of its STDIN
	// when Input returns. nil means that its STDIN is /dev/null.
	Input func(ctx context.Context, p *Process)

	// Output is called once per process and reads its STDOUT up to the end of
	// file; then it returns nil. An error ends the command, and Run with it.
	// When ctx is done, because another process keeps f open, it must return;
	// reads from f then fail with os.ErrDeadlineExceeded. nil means that its
	// STDOUT is /dev/null.
	Output func(ctx context.Context, f *os.File) error

	// Ended is called after each exit, and after each failed start except the
	// first. nil: it is not.
	Ended func(End)

	// Warnf logs what else an operator should know. nil: nothing is logged.
	Warnf func(format string, args ...any)

	// Kill, once closed, has a command that is being stopped killed at once.
	// nil: never.
	Kill <-chan struct{}

	timing timing
}

const defaultGrace = 5 * time.Second

func (o Options) withDefaults() Options {
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	if o.Ended == nil {
		o.Ended = func(End) {}
	}
	if o.Warnf == nil {
		o.Warnf = func(string, ...any) {}
	}
	o.timing = o.timing.withDefaults()
	return o
}

// Run starts the command, and restarts it as o.Restart says. It returns how the
// last process ended, when nothing of the command is left: after the last restart
// (nil), when ctx is done (its error), when Output fails (its error), or when the
// first start does (a *StartError).
func Run(ctx context.Context, o Options) (End, error) {
	o = o.withDefaults()
	w := backoff.New(o.timing.firstWait, o.timing.maxWait, o.timing.minUptime)
	end := End{Command: o.name()}
	for n := 1; ctx.Err() == nil; n++ {
		var err error
		end, err = once(ctx, &o, n, w)
		if end.Err != nil && n == 1 {
			return end, end.Err
		}
		o.Ended(end)
		if err != nil || end.Again == 0 {
			return end, err
		}
		select {
		case <-time.After(time.Until(end.next)):
		case <-ctx.Done():
		}
	}
	return end, ctx.Err()
}

// once runs one process from its start to its end, or fails to start it.
func once(ctx context.Context, o *Options, n int, w backoff.Waits) (End, error) {
	p, err := start(o, n)
	if err != nil {
		end := End{Command: o.name(), Start: n, Err: err}
		end.again(w.Next(0))
		return end, nil
	}
	return p.live(ctx, w)
}

func (o *Options) name() string {
	if len(o.Args) == 0 {
		return ""
	}
	return o.Args[0]
}

// End is how a process exited, or why it could not be started.
type End struct {
	Command string
	PID     int
	Start   int            // the number of the start, from 1
	Code    int            // its exit code; 128 plus the signal, as in a shell
	Signal  syscall.Signal // that killed it; 0: none did
	Uptime  time.Duration
	Err     error // a *StartError: it was not started

	// Lost is how many messages were written to it that it did not read, or read
	// only in part; LostBytes is how many bytes of them. -1: not known on this
	// system. With Raw only the bytes are counted.
	Lost, LostBytes int64

	// Discarded is how many messages came after it had closed its STDIN.
	Discarded int64

	// Again is the time from its exit to the next start; 0: it is not restarted.
	Again time.Duration

	next time.Time
}

func (e *End) again(wait time.Duration) {
	e.Again, e.next = wait, time.Now().Add(wait)
}

// String returns a sentence for a log.
func (e End) String() string {
	parts := []string{e.what()}
	if lost := e.lost(); lost != "" {
		parts = append(parts, lost)
	}
	if e.Discarded > 0 {
		parts = append(parts, quantity.Count(e.Discarded, "message")+" discarded after it closed its STDIN")
	}
	if e.Again > 0 {
		parts = append(parts, "restarting in "+e.Again.Round(10*time.Millisecond).String())
	}
	return strings.Join(parts, "; ")
}

func (e End) what() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	uptime := e.Uptime.Round(time.Millisecond)
	if e.Signal != 0 {
		return fmt.Sprintf("%s (process %d) was killed by %s after %s", e.Command, e.PID, unix.SignalName(e.Signal), uptime)
	}
	return fmt.Sprintf("%s (process %d) exited with code %d after %s", e.Command, e.PID, e.Code, uptime)
}

func (e End) lost() string {
	switch {
	case e.LostBytes < 0:
		return "messages it had not read are lost"
	case e.Lost > 0:
		return fmt.Sprintf("lost %s (%s) that it had not read", quantity.Count(e.Lost, "message"), quantity.Count(e.LostBytes, "byte"))
	case e.LostBytes > 0:
		return fmt.Sprintf("lost %s that it had not read", quantity.Count(e.LostBytes, "byte"))
	}
	return ""
}
