// Package poll reports to a loop which of its descriptors are ready.
//
// A Poller belongs to one loop, and only that loop calls its methods, except
// Wake. Every platform is one file and defines:
//
//	func New() (*Poller, error)
//	    Makes a poller. The caller closes it.
//	func (p *Poller) Add(fd int) error
//	    Watches fd for both directions and the peer's end of file, edge
//	    triggered, until fd is closed.
//	func (p *Poller) AddReader(fd int) error
//	    Watches fd for reading, level triggered. The error is ErrNotPollable
//	    for a descriptor that is always ready, like a file.
//	func (p *Poller) Remove(fd int) error
//	    Stops watching an fd that stays open.
//	func (p *Poller) Wait(timeout time.Duration) ([]Event, error)
//	    Waits for events, a Wake (which returns none) or the timeout; 0
//	    polls, Forever never times out. The slice is valid until the next Wait.
//	func (p *Poller) Wake() error
//	    Makes the current or the next Wait return. Any goroutine may call it.
//	func (p *Poller) Close() error
//
//	Event: FD() int; Readable(), Writable(), HungUp(), Gone(), Failed() bool
//	    HungUp: the peer shut down its direction, or both are shut; input may
//	    remain. Gone: both are shut, so nothing can be sent either. Failed:
//	    the socket has a pending error.
package poll

import (
	"errors"
	"time"
)

// Forever is no timeout.
const Forever time.Duration = -1

// ErrNotPollable means that a descriptor, such as a file or /dev/null, is always
// ready.
var ErrNotPollable = errors.New("not pollable")

// batch is the most events that one Wait returns.
const batch = 1024
