//go:build unix

// Package loop is the frame of an event loop: it waits for descriptors, other
// goroutines and timers.
//
//	Wait       sleeps until one of them is ready
//	RunTasks   runs what other goroutines gave to Do
//	RunTimers  runs the timers that are due (timer.go)
//
// The owner calls these in each of its turns. Any goroutine may call Wake and Do;
// everything else belongs to the goroutine that runs the loop.
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
	now    time.Time     // when this turn began, by the loop's clock
	millis uint32        // the same, since began
	away   time.Duration // how far that clock is behind
	timers []*Timer

	// Shared.
	due      atomic.Bool // there is something to do that no event reports
	sleeping atomic.Bool // the poller must be woken
	mu       sync.Mutex  // guards what follows
	tasks    []func()
	failed   error // of a wake-up
}

// New makes a loop. Millis counts from began. With hold it keeps its P while it
// waits, which needs another P for all other goroutines.
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

// stoodStill is a turn that took so long that the process was stopped or starved.
const stoodStill = 200 * time.Millisecond

// Now returns when this turn began, by the loop's clock. That stops while the
// process does (SIGSTOP, a paused container): what peers did meanwhile is read
// before they are judged by it.
func (l *Loop) Now() time.Time { return l.now }

// Wall returns the same by the system's clock.
func (l *Loop) Wall() time.Time { return l.now.Add(l.away) }

// Millis returns the same, in milliseconds since the beginning; it wraps around
// after 49 days.
func (l *Loop) Millis() uint32 { return l.millis }

// Wait returns the events of the next turn, valid until the next Wait. It does not
// sleep while the loop is busy. It sets sleeping before it checks what other
// goroutines may change, and they check sleeping after they have changed it, so one
// of the two notices the other.
func (l *Loop) Wait(busy func() bool) ([]poll.Event, error) {
	timeout := l.untilTimer()
	l.sleeping.Store(true)
	if l.due.Swap(false) || busy() {
		l.sleeping.Store(false)
		timeout = 0
	}
	events, err := l.poller.Wait(timeout)
	l.sleeping.Store(false)
	now := time.Now().Add(-l.away)
	if late := now.Sub(l.now) - timeout; timeout >= 0 && late > stoodStill {
		l.away += late
		now = now.Add(-late)
	}
	l.now = now
	l.millis = uint32(l.now.Sub(l.began).Milliseconds())
	return events, err
}

// Wake wakes the loop. Any goroutine.
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

// Do has the loop call f, which must not block. Any goroutine.
func (l *Loop) Do(f func()) {
	l.mu.Lock()
	l.tasks = append(l.tasks, f)
	l.mu.Unlock()
	l.Wake()
}

// RunTasks calls what was given to Do by now, in order. The error is that of a
// failed wake-up.
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
