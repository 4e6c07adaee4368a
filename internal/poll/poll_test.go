//go:build unix

package poll

// These tests are the contract of poll.go, for whatever platform they run on.

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

// A descriptor that gets readable is told of once, however much is left
// unread, and again when more comes.
func TestEdgeIsToldOnce(t *testing.T) {
	p := newPoller(t)
	ours, theirs := connection(t)
	add(t, p, ours)
	if e := awaitEvent(t, p, ours); !e.Writable() {
		t.Error("a fresh connection is not writable")
	}
	for range 3 {
		write(t, theirs, "hello")
		if e := awaitEvent(t, p, ours); !e.Readable() || e.HungUp() || e.Failed() {
			t.Errorf("after a write: readable %v, hung up %v, failed %v", e.Readable(), e.HungUp(), e.Failed())
		}
		nothing(t, p)
	}
}

// A connection whose buffer was full is told of when there is room.
func TestRoomIsTold(t *testing.T) {
	p := newPoller(t)
	ours, theirs := connection(t)
	add(t, p, ours)
	awaitEvent(t, p, ours)
	n := fill(t, ours)
	nothing(t, p)
	for buf := make([]byte, 64<<10); n > 0; {
		m, err := unix.Read(theirs, buf)
		if err != nil {
			t.Fatal(err)
		}
		n -= m
	}
	if e := awaitEvent(t, p, ours); !e.Writable() || e.Readable() {
		t.Errorf("with room again: writable %v, readable %v", e.Writable(), e.Readable())
	}
}

// What is watched as a reader is told of for as long as it is readable.
func TestLevelIsToldAgain(t *testing.T) {
	p := newPoller(t)
	ours, theirs := connection(t)
	if err := p.AddReader(ours); err != nil {
		t.Fatal(err)
	}
	nothing(t, p) // it is writable, which is nobody's concern
	write(t, theirs, "hello")
	for range 3 {
		if e := awaitEvent(t, p, ours); !e.Readable() {
			t.Fatal("it is not readable")
		}
	}
	read(t, ours, "hello")
	nothing(t, p)
}

// The end of a peer's direction is told of beside its last input.
func TestHangUpIsTold(t *testing.T) {
	p := newPoller(t)
	ours, theirs := connection(t)
	add(t, p, ours)
	awaitEvent(t, p, ours)
	write(t, theirs, "last words")
	if err := unix.Shutdown(theirs, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	e := awaitEvent(t, p, ours)
	for !e.HungUp() { // it may come by itself
		e = awaitEvent(t, p, ours)
	}
	if !e.Readable() {
		t.Error("what hung up is not readable: its last input would be lost")
	}
	read(t, ours, "last words")
}

// A peer that is gone altogether is told from one that only says no more.
func TestGoneIsTold(t *testing.T) {
	p := newPoller(t)
	ours, theirs := pair(t)
	closeAtEnd(t, ours)
	add(t, p, ours)
	awaitEvent(t, p, ours)
	if err := unix.Shutdown(theirs, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if e := awaitEvent(t, p, ours); !e.HungUp() || e.Gone() {
		t.Errorf("one direction ended: hung up %v, gone %v", e.HungUp(), e.Gone())
	}
	unix.Close(theirs)
	for !awaitEvent(t, p, ours).Gone() { // each direction may come by itself
	}
}

// A connection that is refused has failed.
func TestFailureIsTold(t *testing.T) {
	p := newPoller(t)
	fd := connecting(t, deadAddress(t))
	add(t, p, fd)
	for {
		if e := awaitEvent(t, p, fd); e.Failed() {
			return
		}
	}
}

// What is always ready has no readiness to tell of.
func TestFileIsNotPollable(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := newPoller(t).AddReader(int(f.Fd())); !errors.Is(err, ErrNotPollable) {
		t.Errorf("AddReader of a file: %v, want ErrNotPollable", err)
	}
}

// What was removed is told of no more, though it stays open and readable, and
// may be added again.
func TestRemovedIsToldNoMore(t *testing.T) {
	p := newPoller(t)
	for _, watch := range []func(int) error{p.Add, p.AddReader} {
		ours, theirs := connection(t)
		if err := watch(ours); err != nil {
			t.Fatal(err)
		}
		write(t, theirs, "hello")
		awaitEvent(t, p, ours)
		if err := p.Remove(ours); err != nil {
			t.Fatal(err)
		}
		write(t, theirs, "again")
		nothing(t, p)
		if err := watch(ours); err != nil {
			t.Fatal(err)
		}
		awaitEvent(t, p, ours)
		if err := p.Remove(ours); err != nil {
			t.Fatal(err)
		}
	}
}

// A descriptor that is closed needs no farewell; who gets its number is told
// of as itself.
func TestCloseEndsTheWatch(t *testing.T) {
	p := newPoller(t)
	for range 3 {
		ours, theirs := pair(t)
		add(t, p, ours)
		write(t, theirs, "hello")
		unix.Close(ours)
		nothing(t, p)
		unix.Close(theirs)
	}
}

// A Wake that comes before Wait makes it return, once, and counts as no event.
func TestWakeBeforeWait(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		for range 3 {
			wake(t, p, 5)
			if events := await(t, p, Forever); len(events) != 0 {
				t.Errorf("a wake-up came as %d events", len(events))
			}
			began := time.Now()
			if await(t, p, 20*time.Millisecond); time.Since(began) < 20*time.Millisecond {
				t.Error("the next Wait was woken as well")
			}
		}
	})
}

// A Wake that comes during Wait makes it return.
func TestWakeDuringWait(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		for range 100 {
			w := waiting(p, Forever)
			<-w.began
			wake(t, p, 1)
			if events := w.await(t); len(events) != 0 {
				t.Errorf("a wake-up came as %d events", len(events))
			}
		}
	})
}

// A wake-up takes no event's place.
func TestWakeBesideEvents(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		ours, theirs := connection(t)
		if err := p.AddReader(ours); err != nil {
			t.Fatal(err)
		}
		write(t, theirs, "hello")
		wake(t, p, 1)
		told := 0
		for range 2 { // both may come together, or one by one
			told += len(await(t, p, 0))
		}
		if told == 0 {
			t.Error("the event was lost beside the wake-up")
		}
	})
}

// However many goroutines wake the loop, none of their words is missed.
func TestNoWakeIsLost(t *testing.T) {
	const wakers, rounds = 8, 500
	inBothModes(t, func(t *testing.T, p *Poller) {
		var said atomic.Int64
		var running sync.WaitGroup
		for range wakers {
			running.Go(func() {
				for range rounds {
					said.Add(1)
					if err := p.Wake(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for heard := int64(0); heard < wakers*rounds; heard = said.Load() {
			await(t, p, scene.LongEnough)
		}
		running.Wait()
	})
}

// Wait waits for its timeout, not less, and 0 only looks.
func TestTimeout(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		for _, timeout := range []time.Duration{0, time.Microsecond, 3 * time.Millisecond, 50 * time.Millisecond} {
			began := time.Now()
			if events := await(t, p, timeout); len(events) != 0 {
				t.Errorf("%d events out of nowhere", len(events))
			}
			if took := time.Since(began); took < timeout {
				t.Errorf("a timeout of %v came after %v", timeout, took)
			}
		}
	})
}

// Events that come during Wait end it before its timeout.
func TestEventEndsWait(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		ours, theirs := connection(t)
		add(t, p, ours)
		awaitEvent(t, p, ours)
		for _, timeout := range []time.Duration{Forever, 10 * scene.LongEnough} {
			w := waiting(p, timeout)
			<-w.began
			write(t, theirs, "hello")
			if events := w.await(t); len(events) != 1 || events[0].FD() != ours {
				t.Errorf("%d events, want that of one connection", len(events))
			}
		}
	})
}

// More that is ready than one Wait gives is told of by the next ones, all of
// it, and nothing twice.
func TestEveryEventIsTold(t *testing.T) {
	p := newPoller(t)
	told := map[int]int{}
	for range batch + 100 {
		told[readablePipe(t, p)] = 0
	}
	for left := len(told); left > 0; {
		events := await(t, p, scene.LongEnough)
		if len(events) == 0 {
			t.Fatalf("%d descriptors were never told of", left)
		}
		for i := range events {
			told[events[i].FD()]++
			if err := p.Remove(events[i].FD()); err != nil {
				t.Fatal(err)
			}
		}
		left -= len(events)
	}
	nothing(t, p)
	for fd, n := range told {
		if n != 1 {
			t.Errorf("descriptor %d was told of %d times", fd, n)
		}
	}
}

// readablePipe returns the end of a pipe that is watched and holds a byte. The
// other end is closed.
func readablePipe(t *testing.T, p *Poller) int {
	t.Helper()
	var ends [2]int
	err := unix.Pipe(ends[:])
	if errors.Is(err, unix.EMFILE) {
		t.Skip("this needs more descriptors than the limit allows")
	}
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, ends[0])
	write(t, ends[1], "x")
	unix.Close(ends[1])
	if err := p.AddReader(ends[0]); err != nil {
		t.Fatal(err)
	}
	return ends[0]
}

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// inBothModes has the scene played by a poller that holds its P, and by one
// that does not.
func inBothModes(t *testing.T, scene func(t *testing.T, p *Poller)) {
	for _, hold := range []bool{false, true} {
		name := map[bool]string{false: "parked", true: "holding"}[hold]
		t.Run(name, func(t *testing.T) {
			if hold {
				leaveAP(t)
			}
			p := newPoller(t)
			p.Hold = hold
			scene(t, p)
		})
	}
}

// add watches fd for both directions.
func add(t *testing.T, p *Poller, fd int) {
	t.Helper()
	if err := p.Add(fd); err != nil {
		t.Fatal(err)
	}
}

func wake(t *testing.T, p *Poller, times int) {
	t.Helper()
	for range times {
		if err := p.Wake(); err != nil {
			t.Fatal(err)
		}
	}
}

// await is Wait, which must not fail.
func await(t *testing.T, p *Poller, timeout time.Duration) []Event {
	t.Helper()
	events, err := p.Wait(timeout)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// awaitEvent waits until fd is told of.
func awaitEvent(t *testing.T, p *Poller, fd int) *Event {
	t.Helper()
	for end := time.Now().Add(scene.LongEnough); time.Now().Before(end); {
		for _, e := range await(t, p, time.Until(end)) {
			if e.FD() == fd {
				return &e
			}
		}
	}
	t.Fatal("nothing is told of the descriptor")
	return nil
}

// nothing checks that there is nothing to tell.
func nothing(t *testing.T, p *Poller) {
	t.Helper()
	for _, e := range await(t, p, 0) {
		t.Fatalf("descriptor %d is told of: readable %v, writable %v", e.FD(), e.Readable(), e.Writable())
	}
}

// waiter is a goroutine in Wait.
type waiter struct {
	began chan struct{} // closed just before
	ended chan struct{}

	events []Event
	err    error
}

func waiting(p *Poller, timeout time.Duration) *waiter {
	w := &waiter{began: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		close(w.began)
		w.events, w.err = p.Wait(timeout)
		close(w.ended)
	}()
	return w
}

func (w *waiter) await(t *testing.T) []Event {
	t.Helper()
	select {
	case <-w.ended:
	case <-time.After(scene.LongEnough):
		t.Fatal("Wait does not return")
	}
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w.events
}

// connection is two ends of one, both nonblocking.
func connection(t *testing.T) (ours, theirs int) {
	t.Helper()
	ours, theirs = pair(t)
	closeAtEnd(t, ours)
	closeAtEnd(t, theirs)
	return ours, theirs
}

// pair returns a connection that the caller closes.
func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unblock(t, fd)
	}
	return fds[0], fds[1]
}

// deadAddress returns one that nobody listens at, nor will.
func deadAddress(t *testing.T) unix.Sockaddr {
	t.Helper()
	fd := tcpSocket(t)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// connecting returns a connection to at that is not yet there.
func connecting(t *testing.T, at unix.Sockaddr) int {
	t.Helper()
	fd := tcpSocket(t)
	unblock(t, fd)
	switch err := unix.Connect(fd, at); {
	case errors.Is(err, unix.ECONNREFUSED):
		t.Skip("this system knows at once that a connection is refused")
	case !errors.Is(err, unix.EINPROGRESS):
		t.Fatalf("connect: %v", err)
	}
	return fd
}

func tcpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, fd)
	return fd
}

func unblock(t *testing.T, fd int) {
	t.Helper()
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
}

func closeAtEnd(t *testing.T, fd int) {
	t.Helper()
	t.Cleanup(func() { unix.Close(fd) })
}

func write(t *testing.T, fd int, s string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(s)); n != len(s) {
		t.Fatalf("write: %d, %v", n, err)
	}
}

// read reads what is there, which must be want.
func read(t *testing.T, fd int, want string) {
	t.Helper()
	p := make([]byte, 100)
	if n, err := unix.Read(fd, p); err != nil || string(p[:n]) != want {
		t.Fatalf("read: %q, %v, want %q", p[:max(n, 0)], err, want)
	}
}

// fill writes until fd takes no more, and says how much it took.
func fill(t *testing.T, fd int) (n int) {
	t.Helper()
	for block := make([]byte, 64<<10); ; {
		m, err := unix.Write(fd, block)
		if errors.Is(err, unix.EAGAIN) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
}

// leaveAP sees to it that a loop that holds its P leaves one for the test.
func leaveAP(t *testing.T) {
	t.Helper()
	if before := runtime.GOMAXPROCS(0); before < 2 {
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
}
