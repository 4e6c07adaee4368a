//go:build unix

package engine

import (
	"slices"

	"hubbub.example/internal/poll"
)

// handler is what a loop serves besides its clients.
type handler interface {
	// Event is one of its descriptor.
	Event(e *poll.Event)

	// Turn is its part of a turn, after clients were read and before they are
	// sent to. Again says that it has more to do at once.
	Turn() (again bool)

	// Drain is the end of the hub: what it holds for clients is broadcast.
	Drain()
}

// attached is a handler and its descriptor.
type attached struct {
	handler
	fd int
}

// attach has h be served, with the events of fd.
func (l *shard) attach(fd int, h handler) { l.handlers = append(l.handlers, attached{h, fd}) }

// detach ends that.
func (l *shard) detach(fd int) {
	l.handlers = slices.DeleteFunc(l.handlers, func(h attached) bool { return h.fd == fd })
}

func (l *shard) turnHandlers() {
	for _, h := range l.handlers {
		if h.Turn() {
			l.Wake()
		}
	}
}

func (l *shard) tellHandler(e *poll.Event) {
	for _, h := range l.handlers {
		if h.fd == e.FD() {
			h.Event(e)
		}
	}
}
