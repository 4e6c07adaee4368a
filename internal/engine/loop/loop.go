//go:build unix

// Package loop is an event loop that has nothing to do yet: it waits for
// descriptors, for other goroutines and for the clock.
//
//	Wait       sleeps until one of them has something
//	RunTasks   does what other goroutines gave to Do
//	RunTimers  does what is due (timer.go)
//
// Its owner calls these in its turn, and decides what a turn is. Wake and Do
// may be called by any goroutine; everything else belongs to the one that
// runs the loop.
package loop

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hubbub.example/internal/poll"
)

// Loop is one event loop.
type Loop struct {
	poller *poll.Poller
	began  time.Time
	now    time.Time // when this turn began
	millis uint32    // the same, since began
	timers []*Timer

	// Shared.
	due      atomic.Bool // there is something to do that no event tells of
	sleeping atomic.Bool // a wake-up is needed to say so
	mu       sync.Mutex  // guards what follows
	tasks    []func()
	failed   error // a wake-up that did not get through
}

// New makes a loop. Millis counts from began. With hold it keeps its P while it
// waits, which is right only where GOMAXPROCS leaves another for everybody else.
func New(began time.Time, hold bool) (*Loop, error) {
	p, err := poll.New()
	if err != nil {
		return nil, err
	}
	p.Hold = hold
	return &Loop{poller: p, began: began, now: time.Now()}, nil
}

// Add, AddReader and Remove are package poll's.
func (l *Loop) Add(fd int) error       { return l.poller.Add(fd) }
func (l *Loop) AddReader(fd int) error { return l.poller.AddReader(fd) }
func (l *Loop) Remove(fd int) error    { return l.poller.Remove(fd) }

// Close returns up the loop's own descriptors. No Wait may be under way.
func (l *Loop) Close() error { return l.poller.Close() }

// Now returns when this turn began.
func (l *Loop) Now() time.Time { return l.now }

// Millis returns the same, in milliseconds since the beginning; it wraps around
// after 49 days.
func (l *Loop) Millis() uint32 { return l.millis }

// Wait returns the events of the next turn, good until the next Wait. It does not
// sleep while the loop is busy. What another goroutine may change is looked at
// after sleeping is set, and whoever changes it looks at sleeping afterwards,
// so one of the two sees the other.
func (l *Loop) Wait(busy func() bool) ([]poll.Event, error) {
	timeout := l.untilTimer()
	l.sleeping.Store(true)
	if l.due.Swap(false) || busy() {
		l.sleeping.Store(false)
		timeout = 0
	}
	events, err := l.poller.Wait(timeout)
	l.sleeping.Store(false)
	l.now = time.Now()
	l.millis = uint32(l.now.Sub(l.began).Milliseconds())
	return events, err
}

// Wake has the loop look at what changed. Any goroutine.
func (l *Loop) Wake() {
	l.due.Store(true)
	if !l.sleeping.CompareAndSwap(true, false) {
		return
	}
	if err := l.poller.Wake(); err != nil {
		l.mu.Lock()
		l.failed = errors.Join(l.failed, err)
		l.mu.Unlock()
	}
}

// Do has the loop call f, which must not wait for anything. Any goroutine.
func (l *Loop) Do(f func()) {
	l.mu.Lock()
	l.tasks = append(l.tasks, f)
	l.mu.Unlock()
	l.Wake()
}

// RunTasks calls what was given to Do by now, in order. The error is of a
// wake-up that did not get through.
func (l *Loop) RunTasks() error {
	l.mu.Lock()
	tasks, err := l.tasks, l.failed
	l.tasks, l.failed = nil, nil
	l.mu.Unlock()
	for _, f := range tasks {
		f()
	}
	return err
}
