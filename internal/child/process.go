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

	"hubbub.example/internal/backoff"
)

// Process is one process of the command.
type Process struct {
	PID   int
	Start int // the number of the start, from 1

	o     *Options
	cmd   *exec.Cmd
	began time.Time

	dead chan struct{}

	// Once dead is closed.
	uptime time.Duration
	reap   func() (*os.ProcessState, error)

	input

	stdout  *os.File      // we read it; nil: it is /dev/null
	read    chan struct{} // closed when Output has returned
	readErr error         // its error; once read is closed
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
		dead: make(chan struct{}),
		read: make(chan struct{}),
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

// openPipes makes the pipes for Input and Output, and returns the process's ends of
// them.
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

// spawn starts the process. Its goroutine stays on its thread until the process
// has exited: to Linux, the end of that thread would be our own end, and the
// process would get the signal for that. The wait needs a thread anyway.
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
			p.uptime = time.Since(p.began)
			close(p.dead)
		}
	}()
	return <-started
}

// live is p's life, from its start until all its output is read.
func (p *Process) live(ctx context.Context, w backoff.Waits) (End, error) {
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
	wait, limit := w.Next(p.uptime), p.o.Grace
	died := time.Now()
	if stopped.IsZero() {
		p.signal(unix.SIGTERM) // to processes it left behind; a second one might hurry them
		if p.o.Restart != Never {
			limit = min(limit, wait)
		}
	} else {
		limit -= died.Sub(stopped)
	}
	p.settle(limit, endOutput)
	return p.ended(ctx, died, wait)
}

// listen has Output read the STDOUT of p.
func (p *Process) listen(ctx context.Context) {
	defer close(p.read)
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

// untilDead waits until p has exited, and ends p when it must: then stopped is
// when that began.
func (p *Process) untilDead(ctx context.Context, endInput func()) (stopped time.Time) {
	read := p.read
	for stopped.IsZero() {
		select {
		case <-p.dead:
			return stopped
		case <-ctx.Done():
			stopped = time.Now()
		case <-read:
			if p.readErr != nil {
				stopped = time.Now()
			}
			read = nil // it has closed its STDOUT
		}
	}
	p.signal(unix.SIGTERM)
	endInput()
	select {
	case <-p.dead:
		return stopped
	case <-time.After(p.o.Grace):
		p.o.Warnf("%s (process %d) did not exit within %s of SIGTERM; sending SIGKILL", p.o.name(), p.PID, p.o.Grace)
	case <-p.o.Kill:
	}
	p.signal(unix.SIGKILL)
	<-p.dead
	return stopped
}

// signal sends s to p and all of its group. The number stays p's until it is
// reaped.
func (p *Process) signal(s syscall.Signal) {
	_ = unix.Kill(-p.PID, s)
	if s == unix.SIGTERM {
		_ = unix.Kill(-p.PID, unix.SIGCONT) // a stopped process would not get it
	}
}

// settle waits until all output is read, for as long as the processes that p left
// behind may take to exit.
func (p *Process) settle(limit time.Duration, endOutput func()) {
	select {
	case <-p.read:
		return
	case <-time.After(limit):
	case <-p.o.Kill:
	}
	p.signal(unix.SIGKILL)
	// No process of the group is left. While there is something to read, Output
	// is blocked; else a process that has left the group holds STDOUT open.
	for give := time.Now().Add(p.o.Grace); ; {
		select {
		case <-p.read:
			return
		case <-time.After(p.o.timing.killed):
		}
		if !readable(p.stdout) || time.Now().After(give) {
			break
		}
	}
	p.o.Warnf("%s (process %d) has exited, but a process it started holds its STDOUT open; no longer reading it", p.o.name(), p.PID)
	endOutput()
	<-p.read
}

// readable reports whether there is something to read from f.
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

// ended reaps p and reports its end.
func (p *Process) ended(ctx context.Context, died time.Time, wait time.Duration) (End, error) {
	end := End{Command: p.o.name(), PID: p.PID, Start: p.Start, Uptime: p.uptime, Discarded: p.discarded}
	end.Lost, end.LostBytes = p.lost()
	state, err := p.reap()
	if err != nil {
		end.Code = -1 // something else has reaped it
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
