//go:build unix

package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one process of the command.
type Process struct {
	PID   int
	Start int // which start it is, from 1

	o     *Options
	cmd   *exec.Cmd
	began time.Time

	// Once dead is closed.
	dead  chan struct{}
	lived time.Duration
	reap  func() (*os.ProcessState, error)

	input

	stdout  *os.File      // we read it; nil: it is /dev/null
	heard   chan struct{} // closed when Output has returned
	readErr error         // what it said; once heard is closed
}

// start starts the n-th process.
func start(o *Options, n int) (*Process, error) {
	path, err := Find(o.name())
	if err != nil {
		return nil, err
	}
	p := &Process{
		Start: n, o: o,
		cmd: &exec.Cmd{
			Path:        path,
			Args:        o.Args,
			Env:         append(append(os.Environ(), o.Env...), fmt.Sprintf("HUBBUB_START=%d", n)),
			SysProcAttr: attributes(),
		},
		dead:  make(chan struct{}),
		heard: make(chan struct{}),
	}
	p.fed = make(chan struct{})
	if o.Stderr != nil {
		p.cmd.Stderr = o.Stderr
	}
	theirs, err := p.openPipes()
	if err == nil {
		err = p.spawn()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		p.closePipes()
		return nil, newStartError(o.name(), path, err)
	}
	return p, nil
}

// openPipes makes the pipes that are wanted and returns the ends that are the
// process's own.
func (p *Process) openPipes() (theirs []*os.File, err error) {
	if p.o.Input != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		p.cmd.Stdin, p.stdin, theirs = r, w, append(theirs, r)
	}
	if p.o.Output != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return theirs, err
		}
		p.cmd.Stdout, p.stdout, theirs = w, r, append(theirs, w)
	}
	return theirs, nil
}

func (p *Process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout} {
		if f != nil {
			f.Close()
		}
	}
}

// spawn starts the process. The goroutine that does stays on its thread until
// the process is dead: when that thread ends, Linux takes it for our own end,
// of which the process is to hear. The wait needs a thread anyway.
func (p *Process) spawn() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.began = time.Now()
		err := p.cmd.Start()
		if err == nil {
			p.PID = p.cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.reap = untilDead(p.cmd.Process)
			p.lived = time.Since(p.began)
			close(p.dead)
		}
	}()
	return <-started
}

// live is p's life, from its start until all that it said is taken.
func (p *Process) live(ctx context.Context, w *waits) (End, error) {
	later := context.WithoutCancel(ctx) // SIGTERM comes before the end of STDIN
	inCtx, endInput := context.WithCancel(later)
	defer endInput()
	outCtx, endOutput := context.WithCancel(later)
	defer endOutput()
	go p.feed(inCtx)
	go p.listen(outCtx)

	stopped := p.untilDead(ctx, endInput)
	endInput()
	<-p.fed
	wait, limit := w.next(p.lived), p.o.Grace
	died := time.Now()
	if stopped.IsZero() {
		p.signal(unix.SIGTERM) // whom it left behind; a second one might make haste
		if p.o.Restart != Never {
			limit = min(limit, wait)
		}
	} else {
		limit -= died.Sub(stopped)
	}
	p.settle(limit, endOutput)
	return p.ended(ctx, died, wait)
}

// listen has Output read what p says.
func (p *Process) listen(ctx context.Context) {
	defer close(p.heard)
	if p.stdout == nil {
		return
	}
	defer p.stdout.Close()
	stop := context.AfterFunc(ctx, func() { _ = p.stdout.SetReadDeadline(time.Now()) })
	defer stop()
	if err := p.o.Output(ctx, p.stdout); err != nil && ctx.Err() == nil {
		p.readErr = err
	}
}

// untilDead waits until p is dead, and sees to it when it is to be: then it
// says since when.
func (p *Process) untilDead(ctx context.Context, endInput func()) (stopped time.Time) {
	heard := p.heard
	for stopped.IsZero() {
		select {
		case <-p.dead:
			return stopped
		case <-ctx.Done():
			stopped = time.Now()
		case <-heard:
			if p.readErr != nil {
				stopped = time.Now()
			}
			heard = nil // it has closed its STDOUT
		}
	}
	p.signal(unix.SIGTERM)
	endInput()
	select {
	case <-p.dead:
		return stopped
	case <-time.After(p.o.Grace):
		p.o.Warnf("%s (process %d) did not end within %s of SIGTERM: SIGKILL", p.o.name(), p.PID, p.o.Grace)
	case <-p.o.Kill:
	}
	p.signal(unix.SIGKILL)
	<-p.dead
	return stopped
}

// signal sends s to p and to all in its group. The number is p's own until it
// is reaped.
func (p *Process) signal(s syscall.Signal) {
	_ = unix.Kill(-p.PID, s)
	if s == unix.SIGTERM {
		_ = unix.Kill(-p.PID, unix.SIGCONT) // stopped, it would not hear of it
	}
}

// settle waits until all is read that was said, as long as those whom p left
// behind may take to end.
func (p *Process) settle(limit time.Duration, endOutput func()) {
	select {
	case <-p.heard:
		return
	case <-time.After(limit):
	case <-p.o.Kill:
	}
	p.signal(unix.SIGKILL)
	// Nobody of the group is left. While there is something to read, whoever
	// reads is held up; else somebody who has left the group keeps us.
	for give := time.Now().Add(p.o.Grace); ; {
		select {
		case <-p.heard:
			return
		case <-time.After(aMoment):
		}
		if !readable(p.stdout) || time.Now().After(give) {
			break
		}
	}
	p.o.Warnf("%s (process %d) is dead, but somebody it started keeps its STDOUT open: what is said there is not read any more", p.o.name(), p.PID)
	endOutput()
	<-p.heard
}

// aMoment is for the killed to be gone, and for who reads to notice what there is.
const aMoment = time.Second

// readable says that there is something to read from f.
func readable(f *os.File) (is bool) {
	c, err := f.SyscallConn()
	if err != nil {
		return false
	}
	_ = c.Control(func(fd uintptr) {
		at := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(at, 0)
		is = err == nil && n > 0 && at[0].Revents&unix.POLLIN != 0
	})
	return is
}

// ended reaps p and tells what there is to be told.
func (p *Process) ended(ctx context.Context, died time.Time, wait time.Duration) (End, error) {
	end := End{Command: p.o.name(), PID: p.PID, Start: p.Start, Lived: p.lived, Discarded: p.discarded}
	end.Lost, end.LostBytes = p.lost()
	state, err := p.reap()
	if err != nil {
		end.Code = -1 // somebody else has reaped it
	} else if status, is := state.Sys().(syscall.WaitStatus); is && status.Signaled() {
		end.Signal = status.Signal()
		end.Code = 128 + int(end.Signal)
	} else {
		end.Code = state.ExitCode()
	}
	switch {
	case p.readErr != nil:
		return end, p.readErr
	case ctx.Err() != nil:
		return end, ctx.Err()
	case p.o.Restart.after(end.Code):
		end.Again, end.next = wait, died.Add(wait)
	}
	return end, nil
}
