//go:build unix

package engine

import (
	"slices"

	"hubbub.example/internal/poll"
)

// handler is what a shard serves besides its clients: a source or a sink.
type handler interface {
	// Event is an event of its descriptor.
	Event(e *poll.Event)

	// Turn is its part of a turn, between reading from clients and sending to
	// them. Again says that it has more to do at once.
	Turn() (again bool)

	// Drain broadcasts what it holds for clients. The hub ends.
	Drain()
}

// attached is a handler and its descriptor.
type attached struct {
	handler
	fd int
}

// attach starts to serve h, with the events of fd.
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
