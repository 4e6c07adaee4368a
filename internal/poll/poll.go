// Package poll tells a loop which of its descriptors are ready.
//
// A Poller belongs to one loop, which alone calls its methods; only Wake may
// be called by others. Every platform is one file and defines:
//
//	func New() (*Poller, error)
//	    Makes a poller. The caller closes it.
//	func (p *Poller) Add(fd int) error
//	    Watches fd for both directions and the peer's end of file, edge
//	    triggered, once and for all: no further call for fd is needed until
//	    it is closed. Closing fd ends the watch.
//	func (p *Poller) AddReader(fd int) error
//	    Watches fd for reading, level triggered. The error is ErrNotPollable
//	    for what is always ready, like a file.
//	func (p *Poller) Remove(fd int) error
//	    Ends the watch of an fd that stays open.
//	func (p *Poller) Wait(timeout time.Duration) ([]Event, error)
//	    Waits for events, a Wake (which counts as none) or the timeout; 0
//	    looks only, Forever waits. The slice is good until the next Wait.
//	func (p *Poller) Wake() error
//	    Makes the present or the next Wait return. Any goroutine, at any time
//	    between New and Close.
//	func (p *Poller) Close() error
//
//	Event: FD() int; Readable(), Writable(), HungUp(), Gone(), Failed() bool
//	    HungUp: the peer ends its direction, or both are ended; input may be
//	    left. Gone: both are ended, so nothing can be sent either. Failed:
//	    the socket has a pending error.
package poll

import (
	"errors"
	"time"
)

// Forever is the timeout that never comes.
const Forever time.Duration = -1

// ErrNotPollable says that a descriptor has no readiness to tell of: a file
// or /dev/null is always ready.
var ErrNotPollable = errors.New("not pollable")

// batch is how many events one Wait gives at most.
const batch = 1024
