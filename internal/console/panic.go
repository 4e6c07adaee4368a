package console

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// This file gives the terminal back when something panics or when the process
// ends without the console. A panic in the console ends the console only, and Run
// returns it: a server with thousands of clients does not die with its window. Any
// other panic ends the process, after Rescue.

// open is the console that has the terminal.
var open atomic.Pointer[Console]

// Rescue, deferred in a goroutine, gives the terminal back when the goroutine
// panics, and lets the panic continue.
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

// GiveBack gives the terminal back, if a console has it, before the process
// exits.
func GiveBack() {
	if c := open.Load(); c != nil {
		within(lastMoment, c.surrender)
	}
}

// surrender draws what is left and gives the terminal back.
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
	return fmt.Sprintf("console panicked: %v\n\n%s", p.Value, p.Stack)
}

// attempt runs do; its error or panic ends the console.
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
