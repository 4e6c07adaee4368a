package console

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// This file gives the terminal back when something panics, or the process ends
// without asking the console. A panic of the console's own ends the console, and
// Run returns it: a server that serves thousands does not end with its window.
// One of anybody else's ends the process, but not before Rescue.

// open is the console that has the terminal; there is one terminal.
var open atomic.Pointer[Console]

// Rescue gives the terminal back when the goroutine panics in which it is
// deferred, and lets the panic go on.
//
//	go func() {
//		defer console.Rescue()
//		…
func Rescue() {
	r := recover()
	if r == nil {
		return
	}
	GiveBack()
	panic(r)
}

// GiveBack gives the terminal back, if a console has it, for a process that ends
// at once.
func GiveBack() {
	if c := open.Load(); c != nil {
		within(lastMoment, c.surrender)
	}
}

// surrender gives the terminal back at once, with what had come by then.
func (c *Console) surrender() {
	c.paint.leave()
	c.finish()
	c.keyboard.release()
	c.over.Store(true)
}

// PanicError is a panic in the console, or in a function of its Options.
type PanicError struct {
	Value any
	Stack []byte
}

func (p *PanicError) Error() string {
	return fmt.Sprintf("the console panicked: %v\n\n%s", p.Value, p.Stack)
}

// attempt does what may fail or panic: either ends the console.
func (c *Console) attempt(do func() error) {
	defer func() {
		if r := recover(); r != nil {
			c.fail(&PanicError{r, debug.Stack()})
		}
	}()
	if err := do(); err != nil {
		c.fail(err)
	}
}
