package poll

// These tests are the two ways in which epoll is waited for: on the loop's P,
// and parked.

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

// holdEach makes a loop keep its P for d after an event.
func holdEach(t *testing.T, d time.Duration) {
	t.Helper()
	before := holdFor
	holdFor = d
	t.Cleanup(func() { holdFor = before })
}

// holding returns a poller, and its loop that waits and holds its P.
func holding(t *testing.T) (*Poller, *waiter) {
	t.Helper()
	leaveAP(t)
	holdEach(t, 10*scene.LongEnough)
	p := newPoller(t)
	p.Hold = true
	w := waiting(p, Forever)
	<-w.began
	return p, w
}

// The hub's hot path is free of the scheduler only as long as a loop that was
// busy a moment ago holds its P.
func TestBusyLoopHolds(t *testing.T) {
	p, w := holding(t)
	for range 100 {
		if stateOf(t, "(*Poller).Wait") == "IO wait" {
			t.Fatal("the loop is parked")
		}
	}
	wake(t, p, 1)
	w.await(t)
}

// A collection stops every goroutine: it must not wait for a loop that sleeps
// in epoll_wait and holds its P.
func TestCollectionGetsInWhileALoopHolds(t *testing.T) {
	p, w := holding(t)
	collected := make(chan struct{})
	go func() {
		for range 20 {
			runtime.GC()
		}
		close(collected)
	}()
	select {
	case <-collected:
	case <-time.After(scene.LongEnough):
		t.Error("20 collections do not come to their end")
	}
	select {
	case <-w.ended:
		t.Error("a collection ended Wait")
	default:
	}
	if stateOf(t, "(*Poller).Wait") == "IO wait" {
		t.Error("a collection made the loop give its P away")
	}
	wake(t, p, 1)
	w.await(t)
	<-collected
}

// Without Hold at once, else when the hold is over, a silent loop is parked;
// a wake-up or an event gets it out.
func TestSilentLoopParks(t *testing.T) {
	leaveAP(t)
	holdEach(t, 5*time.Millisecond)
	for _, hold := range []bool{false, true} {
		p := newPoller(t)
		p.Hold = hold
		ours, theirs := connection(t)
		add(t, p, ours)
		awaitEvent(t, p, ours)
		for _, c := range []struct {
			by     func()
			events int
		}{
			{func() { wake(t, p, 1) }, 0},
			{func() { write(t, theirs, "hello") }, 1},
			{func() { wake(t, p, 1) }, 0},
		} {
			w := waiting(p, Forever)
			awaitState(t, "(*Poller).Wait", "IO wait")
			c.by()
			if events := w.await(t); len(events) != c.events {
				t.Errorf("hold %v: %d events, want %d", hold, len(events), c.events)
			}
		}
	}
}

// A loop that was woken when all had been silent, and holds its P from then on,
// does not take the only thread that would notice what wakes others. The
// kernel's timers wake them, since nothing of this process may run meanwhile:
// it would notice by itself.
func TestWhoHoldsAfterSilenceKeepsNobodyAsleep(t *testing.T) {
	const silence = 100 * time.Millisecond // in which the runtime's monitor falls asleep too
	leaveAP(t)
	holdEach(t, 5*time.Second)
	first, other := newPoller(t), newPoller(t)
	first.Hold, other.Hold = true, true
	wakeFirst, wakeOther := timer(t, first), timer(t, other)
	held, woken := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(held)
		_, err := first.park(Forever)
		if err == nil {
			_, err = first.Wait(holdFor)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	go func() {
		defer close(woken)
		if _, err := other.park(Forever); err != nil {
			t.Error(err)
		}
	}()
	awaitState(t, "(*Poller).park", "IO wait")
	wakeFirst(silence)
	wakeOther(2 * silence)
	select {
	case <-woken:
	case <-held:
		t.Error("nobody else was woken before the hold was over")
	}
	wake(t, first, 1)
	<-held
	<-woken
}

// timer returns one of the kernel's that p watches, and how to set it.
func timer(t *testing.T, p *Poller) (set func(d time.Duration)) {
	t.Helper()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, fd)
	if err := p.Add(fd); err != nil {
		t.Fatal(err)
	}
	return func(d time.Duration) {
		t.Helper()
		if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A timeout that is longer than the hold is waited for in both ways, one
// after the other.
func TestTimeoutBeyondTheHold(t *testing.T) {
	leaveAP(t)
	holdEach(t, 10*time.Millisecond)
	p := newPoller(t)
	p.Hold = true
	for range 3 {
		began := time.Now()
		if await(t, p, 40*time.Millisecond); time.Since(began) < 40*time.Millisecond {
			t.Errorf("a timeout of 40ms came after %v", time.Since(began))
		}
	}
	ours, theirs := connection(t)
	add(t, p, ours)
	awaitEvent(t, p, ours)
	w := waiting(p, scene.LongEnough)
	awaitState(t, "(*Poller).Wait", "IO wait")
	write(t, theirs, "hello")
	if events := w.await(t); len(events) != 1 {
		t.Errorf("%d events after the hold, want 1", len(events))
	}
}

// Whoever waits takes no CPU, however it waits.
func TestWaitingTakesNoCPU(t *testing.T) {
	const window = 500 * time.Millisecond
	inBothModes(t, func(t *testing.T, p *Poller) {
		holdEach(t, scene.LongEnough)
		runtime.GC() // what would run by itself meanwhile
		before := cpuTime(t)
		await(t, p, window)
		if spent := cpuTime(t) - before; spent > window/10 {
			t.Errorf("%v of CPU in %v", spent, window)
		}
	})
}

// Parked loops take no thread either.
func TestParkedLoopsTakeNoThread(t *testing.T) {
	const loops = 100
	var waiters []*waiter
	var pollers []*Poller
	for range loops {
		p := newPoller(t)
		pollers = append(pollers, p)
		waiters = append(waiters, waiting(p, Forever))
	}
	awaitState(t, "(*Poller).Wait", "IO wait")
	if n := threads(t); n > loops/2 {
		t.Errorf("%d threads for %d parked loops", n, loops)
	}
	for i, w := range waiters {
		wake(t, pollers[i], 1)
		w.await(t)
	}
}

// /dev/null is always ready.
func TestNullIsNotPollable(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := newPoller(t).AddReader(int(f.Fd())); !errors.Is(err, ErrNotPollable) {
		t.Errorf("AddReader of /dev/null: %v, want ErrNotPollable", err)
	}
}

// Waiting costs no allocation, whichever way.
func TestWaitAllocatesNothing(t *testing.T) {
	holdEach(t, 0)
	inBothModes(t, func(t *testing.T, p *Poller) {
		if got := testing.AllocsPerRun(1000, func() {
			wake(t, p, 1)
			await(t, p, Forever)
		}); got != 0 {
			t.Errorf("%v allocations a Wait", got)
		}
	})
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`Threads:\s+(\d+)`).FindSubmatch(status)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var header = regexp.MustCompile(`^goroutine \d+ .*\[([^],:]*)`)

// stateOf returns what the goroutine in function does: "running", "IO wait". Where
// there are several, it is what all of them do, or "".
func stateOf(t *testing.T, function string) string {
	t.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	state := ""
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if !bytes.Contains(stack, []byte(function)) {
			continue
		}
		its := string(header.FindSubmatch(stack)[1])
		if state != "" && its != state {
			return ""
		}
		state = its
	}
	return state
}

// awaitState waits until the goroutines in function are in state.
func awaitState(t *testing.T, function, state string) {
	t.Helper()
	for end := time.Now().Add(scene.LongEnough); stateOf(t, function) != state; {
		if time.Now().After(end) {
			t.Fatalf("the state of %s is %q, want %q", function, stateOf(t, function), state)
		}
		runtime.Gosched()
	}
}
