//go:build linux

package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// harness is one server under test with its clients, for one measurement.
type harness struct {
	server   *server
	load     *load
	own      int           // descriptors the server has open for itself
	listened time.Time     // when STDOUT was read last
	said     int64         // bytes the server wrote to STDOUT
	heard    []byte        // those bytes, if a test wants them
	keep     bool          // keep what is heard
	nap      time.Duration // how long the clients may sleep; 0: never, they read at once
	buf      []byte
}

// stalledAfter is how long a measurement waits without any progress.
const stalledAfter = 20 * time.Second

func newHarness(c command) (*harness, error) {
	s, err := start(c)
	if err != nil {
		return nil, err
	}
	l, err := newLoad(s.port)
	if err != nil {
		s.stop()
		return nil, err
	}
	return &harness{server: s, load: l, buf: make([]byte, pipeSize)}, nil
}

func (r *harness) stop() {
	r.server.stop()
	r.load.close()
}

// cost returns the server's CPU time while do runs.
func (r *harness) cost(do func() error) (used time.Duration, err error) {
	defer catch(&err)
	before := need(cpuOf(r.server.pid))
	must(do())
	return need(cpuOf(r.server.pid)) - before, nil
}

// must ends a measurement that has failed: catch, deferred by the function that
// measures, makes err its error. So a measurement reads as the steps it takes.
func must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// need returns the result of a step that must not fail.
func need[T any](v T, err error) T {
	must(err)
	return v
}

type failure struct{ error }

func catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.error
	default:
		panic(r)
	}
}

// turn lets the clients read, and reads the server's STDOUT.
func (r *harness) turn(wait time.Duration) error {
	if err := r.load.poll(min(wait, r.nap)); err != nil {
		return err
	}
	return r.hear()
}

// until takes turns until done. It fails without progress, or if a reader is cut.
func (r *harness) until(done func() bool) error {
	moved, since := r.moved(), time.Now()
	for !done() {
		if r.load.lost > 0 {
			return r.failed("the server cut clients that read")
		}
		if err := r.turn(r.nap); err != nil {
			return err
		}
		if now := r.moved(); now != moved {
			moved, since = now, time.Now()
		} else if time.Since(since) > stalledAfter {
			return r.failed(fmt.Sprintf("nothing moved for %v", stalledAfter))
		}
	}
	return nil
}

func (r *harness) moved() int64 { return r.load.got + r.said + int64(r.load.opened) }

func (r *harness) failed(why string) error {
	return fmt.Errorf("%s: clients got %d bytes, %d of them lost, STDOUT %d bytes; the server said:\n%s",
		why, r.load.got, r.load.lost, r.said, &r.server.says)
}

// rest takes turns until the given time.
func (r *harness) rest(until time.Time) error {
	for left := time.Until(until); left > 0; left = time.Until(until) {
		if err := r.turn(left); err != nil {
			return err
		}
	}
	return nil
}

// feed writes all of p to the server's STDIN; the clients read while the pipe is full.
func (r *harness) feed(p []byte) error {
	for len(p) > 0 {
		n, errno := bareWrite(r.server.in, p)
		switch errno {
		case 0:
			p = p[n:]
		case unix.EINTR:
		case unix.EAGAIN:
			if err := r.untilRoom(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w; the server said:\n%s", os.NewSyscallError("write", errno), &r.server.says)
		}
	}
	return nil
}

// untilRoom takes turns until STDIN has room.
func (r *harness) untilRoom() error {
	room := []unix.PollFd{{Fd: int32(r.server.in), Events: unix.POLLOUT}}
	return r.until(func() bool {
		n, _ := unix.Poll(room, 0)
		return n > 0
	})
}

// hearEvery is how often STDOUT is read at most: a constant reader contends with the
// writer for the pipe's lock. The pipe holds what comes meanwhile.
const (
	hearEvery = 200 * time.Microsecond
	pipeSize  = 1 << 20
)

// hear reads what the server wrote to STDOUT.
func (r *harness) hear() error {
	now := time.Now()
	if now.Sub(r.listened) < hearEvery {
		return nil
	}
	r.listened = now
	for {
		n, errno := bareRead(r.server.out, r.buf)
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			return nil
		case errno != 0:
			return os.NewSyscallError("read", errno)
		case n == 0:
			return fmt.Errorf("the server closed STDOUT and said:\n%s", &r.server.says)
		}
		r.said += int64(n)
		if r.keep {
			r.heard = append(r.heard, r.buf[:n]...)
		}
	}
}

// numbered are n lines of the same size, newline included, that count from first.
func numbered(first, n, size int) []byte {
	block := make([]byte, 0, n*size)
	for i := range n {
		block = fmt.Appendf(block, "%0*d\n", size-1, first+i)
	}
	return block
}
