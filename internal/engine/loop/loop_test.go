//go:build unix

package loop

import (
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"hubbub.example/internal/scene"
)

func newLoop(t testing.TB) *Loop {
	t.Helper()
	l, err := New(time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func idle() bool { return false }

// turn is one turn of a loop that has nothing else to do.
func turn(t testing.TB, l *Loop, busy func() bool) {
	t.Helper()
	if _, err := l.Wait(busy); err != nil {
		t.Fatal(err)
	}
	if err := l.RunTasks(); err != nil {
		t.Fatal(err)
	}
	l.RunTimers()
}

// However many goroutines give tasks while the loop goes to sleep and wakes up,
// each is done once, and those of one goroutine in their order.
func TestNoTaskIsLost(t *testing.T) {
	const givers, each = 4, 2000
	l := newLoop(t)
	l.NewTimer(func() { t.Error("the loop slept while there was something to do") }).In(scene.LongEnough)
	var done [givers][]int
	all := 0
	var wait sync.WaitGroup
	for g := range givers {
		wait.Go(func() {
			for i := range each {
				l.Do(func() { done[g] = append(done[g], i); all++ })
				if i%7 == 0 {
					runtime.Gosched() // the loop may go to sleep
				}
			}
		})
	}
	for all < givers*each && !t.Failed() {
		turn(t, l, idle)
	}
	wait.Wait()
	for g := range done {
		if len(done[g]) != each || !slices.IsSorted(done[g]) {
			t.Errorf("of %d tasks %d are done, or in another order", each, len(done[g]))
		}
	}
}

// What changes before the loop asks whether it is busy keeps it awake, and what
// changes afterwards wakes it: the promise that Wait's order is for.
func TestNoWakeIsLost(t *testing.T) {
	l := newLoop(t)
	l.NewTimer(func() { t.Error("the loop slept through a Wake") }).In(scene.LongEnough)
	for range 100 {
		turn(t, l, func() bool { l.Wake(); return false }) // as by another goroutine, at the worst moment
		turn(t, l, func() bool { return true })
		l.Wake()
		turn(t, l, idle)
	}
}

// A loop that is busy sees its events all the same, and does not sleep.
func TestBusyLoopDoesNotSleep(t *testing.T) {
	l := newLoop(t)
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if err := l.AddReader(fds[0]); err != nil {
		t.Fatal(err)
	}
	if events, err := l.Wait(func() bool { return true }); len(events) != 0 || err != nil {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if _, err := unix.Write(fds[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	events, err := l.Wait(func() bool { return true })
	if len(events) != 1 || err != nil || events[0].FD() != fds[0] || !events[0].Readable() {
		t.Fatalf("%d events, %v", len(events), err)
	}
}

// A task given by a task is done in the next turn: tasks cannot keep a loop
// from its clients.
func TestATaskOfATaskIsDoneInTheNextTurn(t *testing.T) {
	l := newLoop(t)
	turns, last := 0, 0
	var again func()
	again = func() {
		if last == turns {
			t.Errorf("two in turn %d", turns)
		}
		if last = turns; turns < 10 {
			l.Do(again)
		}
	}
	l.Do(again)
	for turns < 10 {
		turns++
		turn(t, l, idle)
	}
	if last != 10 {
		t.Errorf("the last was in turn %d", last)
	}
}

// Of two times the earlier wins; after it came, a timer is not set, and may set
// itself again.
func TestTimers(t *testing.T) {
	l := newLoop(t)
	began := l.now
	var came []string
	var b *Timer
	a := l.NewTimer(func() { came = append(came, "a") })
	b = l.NewTimer(func() { came = append(came, "b"); b.In(time.Second) })
	stopped := l.NewTimer(func() { came = append(came, "stopped") })
	a.In(3 * time.Second)
	a.In(2 * time.Second)
	a.In(4 * time.Second)
	b.In(2 * time.Second)
	stopped.In(time.Second)
	stopped.Stop()
	for _, c := range []struct {
		at   time.Duration
		want []string
	}{
		{1999 * time.Millisecond, nil},
		{2 * time.Second, []string{"a", "b"}},
		{2 * time.Second, nil},
		{3 * time.Second, []string{"b"}},
		{10 * time.Second, []string{"b"}},
	} {
		came = nil
		l.now = began.Add(c.at)
		l.RunTimers()
		if !slices.Equal(came, c.want) {
			t.Errorf("at %v: %v, want %v", c.at, came, c.want)
		}
	}
	if a.IsSet() || !b.IsSet() || stopped.IsSet() {
		t.Errorf("set: a %v, b %v, stopped %v", a.IsSet(), b.IsSet(), stopped.IsSet())
	}
}

// A loop sleeps until its next timer, and without one until it is woken.
func TestWaitEndsWithTheNextTimer(t *testing.T) {
	l := newLoop(t)
	came := false
	timer := l.NewTimer(func() { came = true })
	timer.In(20 * time.Millisecond)
	for began := time.Now(); !came; {
		if turn(t, l, idle); time.Since(began) > scene.LongEnough {
			t.Fatal("it never comes")
		}
	}
	if d := l.untilTimer(); d >= 0 {
		t.Errorf("without a timer it sleeps %v", d)
	}
	if l.Millis() < 20 {
		t.Errorf("%d ms since the loop began", l.Millis())
	}
}

// A loop that has nothing to do uses no CPU, and its thread is not woken.
func TestIdleLoopDoesNothing(t *testing.T) {
	l := newLoop(t)
	turns := 0
	end := l.NewTimer(func() {})
	end.In(300 * time.Millisecond)
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for end.IsSet() {
		turn(t, l, idle)
		turns++
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	if turns > 3 { // a wake-up of the runtime's poller may come early
		t.Errorf("%d turns", turns)
	}
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	if used > 50*time.Millisecond {
		t.Errorf("it used %v of CPU", used)
	}
}

// A wake-up of a loop that is awake costs no system call, and no allocation.
func TestWakingWhoIsAwakeCostsNothing(t *testing.T) {
	l := newLoop(t)
	if n := testing.AllocsPerRun(100, l.Wake); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if events, err := l.poller.Wait(0); err != nil || len(events) != 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// While the process stands still, so does the loop's clock: a timer comes as long
// after the pause as it would have come without it.
func TestTheClockStopsWithTheProcess(t *testing.T) {
	l := newLoop(t)
	due := false
	timer := l.NewTimer(func() { due = true })
	busy := func() bool { return true }
	turn(t, l, busy)
	const pause = time.Hour
	l.now = l.now.Add(-pause) // as if it had been stopped since
	timer.In(time.Minute)
	for range 3 {
		turn(t, l, busy)
	}
	if due || !timer.IsSet() {
		t.Error("a timer of a minute is due after an hour's pause")
	}
	if ago := time.Since(l.Wall()); ago < 0 || ago > pause/2 {
		t.Errorf("the system's clock is %v off", ago)
	}
	if behind := l.Wall().Sub(l.Now()); behind < pause || behind > pause+time.Minute {
		t.Errorf("the loop's clock is %v behind, want %v", behind, pause)
	}
}
