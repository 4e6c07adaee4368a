//go:build unix

// Package child keeps one command running behind two pipes: what is written
// to its STDIN, and what it says on its STDOUT.
//
//	child.go     Run, from one process to the next
//	process.go   one process: its start, its two pipes, its end
//	input.go     what is written to it, and what of that it never read
//	start.go     finding it, and what is said when it cannot be started
//	again.go     whether it is started again, and when
//	framing.go   where a message ends
//
// A process is started in a session of its own, and so in a process group of
// its own, without a terminal: ^C and ^Z reach only whoever runs it, who then
// ends it in good order, and it cannot take keys from a console. Its STDERR is
// the one it is given.
//
// # At most once
//
// A message goes to one process, and is begun at most once: what could not be
// written whole when a process died is not written to the next. What that
// process had not read from its pipe is lost with it, and counted (End.Lost).
// What it had read, its own buffers included, is its own affair.
//
// # The end of a process
//
// When the process is dead, whatever it left behind in its group gets SIGTERM.
// What they have said is read to its end before the next process is started.
// Who still holds the STDOUT when that is due gets SIGKILL. One that has left
// the group as well is waited for no longer than it takes to read what is there.
//
// To stop, the group gets SIGTERM (and SIGCONT, should it be stopped), then the
// end of its STDIN, and SIGKILL after Options.Grace. If we are killed ourselves,
// the end of file on STDIN and a closed STDOUT tell the process, and on Linux
// it gets SIGTERM too.
//
// Each platform defines:
//
//	// attributes are those of a process in a session of its own, which hears
//	// of our end if the system can tell.
//	func attributes() *syscall.SysProcAttr
//
//	// untilDead waits until p is dead. Reap then frees its number, if that can
//	// be put off: meanwhile nobody else can have a group of that number.
//	func untilDead(p *os.Process) (reap func() (*os.ProcessState, error))
//
//	// reader opens the other end of the pipe that w writes, nonblocking; false
//	// if the system does not let us.
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

	"hubbub.example/internal/framing"
	"hubbub.example/internal/quantity"
)

// Options says what is run, and how.
type Options struct {
	// Args are the command, looked up in PATH, and its arguments.
	Args []string

	// Env is added to our environment, as NAME=VALUE, and so is
	// HUBBUB_START, which start this is: 1, 2, …
	Env []string

	// Stderr is passed on as it is. nil means /dev/null.
	Stderr *os.File

	// Framing says where a message of its STDIN ends. The zero value is Lines.
	Framing framing.Framing

	// Restart says when a command that has ended is started again. The zero
	// value is OnFailure.
	Restart Restart

	// Grace is the time between SIGTERM and SIGKILL. 0 means 5 s.
	Grace time.Duration

	// Input is called once for each process and writes to it, until ctx is
	// done or Write fails; then it must return. The process sees the end of
	// its STDIN when Input returns. nil means that its STDIN is /dev/null.
	Input func(ctx context.Context, p *Process)

	// Output is called once for each process and reads what it says, until
	// the end of file: then it returns nil. Another error ends the command,
	// and Run with it. When ctx is done, which is when somebody keeps f open
	// for no good reason, it must return; reads from f fail then with
	// os.ErrDeadlineExceeded. nil means that its STDOUT is /dev/null.
	Output func(ctx context.Context, f *os.File) error

	// Ended is told of each end, and of each start but the first that failed.
	// nil: nobody is.
	Ended func(End)

	// Warnf is told what an operator should know besides. nil: nobody is.
	Warnf func(format string, args ...any)

	// Kill, when it is closed, has a command that is being stopped killed
	// without more ado. nil: never.
	Kill <-chan struct{}

	pace pace
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
	o.pace = o.pace.withDefaults()
	return o
}

// Run starts the command, and again as o.Restart says, until that says that
// this was the last time (nil), ctx is done (its error), Output fails (its
// error) or the first start does (a *StartError). It returns when nothing of
// the command is left, and how its last process ended.
func Run(ctx context.Context, o Options) (End, error) {
	o = o.withDefaults()
	w := waits{pace: o.pace}
	end := End{Command: o.name()}
	for n := 1; ctx.Err() == nil; n++ {
		var err error
		end, err = once(ctx, &o, n, &w)
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

// once is one process from its start to its end, or a start that failed.
func once(ctx context.Context, o *Options, n int, w *waits) (End, error) {
	p, err := start(o, n)
	if err != nil {
		end := End{Command: o.name(), Start: n, Err: err}
		end.again(w.next(0))
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

// End is how a process ended, or why it could not be started.
type End struct {
	Command string
	PID     int
	Start   int            // which start it was, from 1
	Code    int            // its exit code; 128 and the signal's number, as shells say it
	Signal  syscall.Signal // which killed it; 0: none did
	Lived   time.Duration
	Err     error // a *StartError: it was not started

	// Lost is how many messages were written to it that it did not read, or
	// not in whole, LostBytes how many bytes of them; -1: not known on this
	// system. With Raw only the bytes are counted.
	Lost, LostBytes int64

	// Discarded is how many messages it did not want: it had closed its
	// STDIN.
	Discarded int64

	// Again is the time from its death to the next start; 0: there is none.
	Again time.Duration

	next time.Time
}

func (e *End) again(wait time.Duration) {
	e.Again, e.next = wait, time.Now().Add(wait)
}

// String is a sentence for a log.
func (e End) String() string {
	parts := []string{e.what()}
	if lost := e.lost(); lost != "" {
		parts = append(parts, lost)
	}
	if e.Discarded > 0 {
		parts = append(parts, quantity.Count(e.Discarded, "message")+" came after it had closed its STDIN")
	}
	if e.Again > 0 {
		parts = append(parts, "started again in "+e.Again.Round(10*time.Millisecond).String())
	}
	return strings.Join(parts, "; ")
}

func (e End) what() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	lived := e.Lived.Round(time.Millisecond)
	if e.Signal != 0 {
		return fmt.Sprintf("%s (process %d) was killed by %s after %s", e.Command, e.PID, unix.SignalName(e.Signal), lived)
	}
	return fmt.Sprintf("%s (process %d) exited with code %d after %s", e.Command, e.PID, e.Code, lived)
}

func (e End) lost() string {
	switch {
	case e.LostBytes < 0:
		return "what it had not read is lost"
	case e.Lost > 0:
		return fmt.Sprintf("it had not read %s (%s), lost", quantity.Count(e.Lost, "message"), quantity.Count(e.LostBytes, "byte"))
	case e.LostBytes > 0:
		return fmt.Sprintf("it had not read %s, lost", quantity.Count(e.LostBytes, "byte"))
	}
	return ""
}
