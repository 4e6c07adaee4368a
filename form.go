//go:build unix

package hubbub

// This file is the forms in which messages are sent. Clients of one form read
// the same bytes, from one feed:
//
//	asTheyCame  the canonical feed: raw clients, and plain HTTP streams
//	asFrames    a WebSocket frame each
//	asNumbered  hubbub.v1: a frame with a JSON object each
//	asEvents    server-sent events
//
// The canonical feed always exists. Another is made when its first client
// comes, reaches back as far as its clients ask, and goes some time after the
// last of them has left. Messages are encoded once each: new ones by whoever
// publishes, those of the past by whoever asks for them.

import (
	"sync/atomic"
	"time"

	"hubbub.example/internal/codec"
	"hubbub.example/internal/feed"
)

type form uint8

const (
	asTheyCame form = iota
	asFrames
	asNumbered
	asEvents
	forms
)

// formOf is how messages look to who speaks p.
func formOf(p codec.Protocol) form {
	return [codec.Protocols]form{codec.ProtocolSSE: asEvents, codec.ProtocolWebSocket: asFrames, codec.ProtocolV1: asNumbered}[p]
}

const (
	// pastStep is about how much of the past is encoded at a time: publishers
	// wait meanwhile.
	pastStep = 256 << 10

	// formKept is how long a form's feed stays after its last client.
	formKept = time.Minute
)

// wire is one form's feed, and what is agreed about it.
type wire struct {
	feed    *feed.Feed
	floor   int64        // what is below was another feed's
	target  atomic.Int64 // it is to be left below this offset: room.go
	clients atomic.Int64 // that read it, those on their way included
	left    atomic.Int64 // when the last of them went, Unix nanoseconds
}

// encoder appends a message, given without its separator, in its form.
type encoder func(dst []byte, m feed.Kept) []byte

func encoders(epoch string) [forms]encoder {
	return [forms]encoder{
		asFrames: func(dst []byte, m feed.Kept) []byte { return codec.AppendMessage(dst, m.Bytes) },
		asNumbered: func(dst []byte, m feed.Kept) []byte {
			by := codec.By{}
			if m.Of != nil {
				by = codec.By{ID: m.Of.ID, Name: m.Of.Name}
			}
			return codec.AppendNumbered(dst, m.Seq, time.UnixMilli(m.At), by, m.Bytes)
		},
		asEvents: func(dst []byte, m feed.Kept) []byte { return codec.AppendEvent(dst, epoch, m.Seq, m.Bytes) },
	}
}

// wire is the feed that clients of c's protocol read.
func (l *loop) wire(c *client) *wire { return l.hub.wires[c.form()].Load() }

// share is what of the backlog one form's feed has to itself.
func (h *Hub) share() int64 {
	n := int64(0)
	for f := range h.wires {
		if h.wires[f].Load() != nil {
			n++
		}
	}
	return h.o.Backlog / n
}

// encoded is one form's part of what is being published.
type encoded struct {
	bytes []byte
	ends  []int
	of    []feed.Run
}

func (e *encoded) add(encode encoder, m feed.Kept) {
	e.bytes = encode(e.bytes, m)
	e.ends = append(e.ends, len(e.bytes))
}

func (e *encoded) growth() feed.Growth {
	return feed.Growth{Bytes: int64(len(e.bytes)), Messages: len(e.ends), Runs: e.of}
}

// encode puts messages, as package feed wants them, into every form that has a
// feed. The caller holds room.mu, and the result is good until it lets go.
func (h *Hub) encode(p []byte, ends []int, at time.Time, of []feed.Run) *[forms]encoded {
	all := &h.room.encoded
	all[asTheyCame] = encoded{p, ends, of}
	separator, first := len(h.framing.Separator()), uint64(0)
	for f := asTheyCame + 1; f < forms; f++ {
		if h.wires[f].Load() == nil {
			continue
		}
		if first == 0 {
			first = h.feed.Count() + 1
		}
		e := &all[f]
		e.bytes, e.ends, e.of = e.bytes[:0], e.ends[:0], of
		m := feed.Kept{Seq: first, At: at.UnixMilli()}
		begin, origins := 0, feed.Origins{Runs: of}
		for _, end := range ends {
			m.Of, m.Bytes = origins.Next(), p[begin:end-separator]
			e.add(h.encoders[f], m)
			begin = end
			m.Seq++
		}
	}
	return all
}

// startAt has c read its form's feed from behind message seq on, or from where
// that is possible. Any goroutine; c is counted as the feed's from now on.
func (h *Hub) startAt(c *client, seq uint64) error {
	f := formOf(c.protocol)
	w, err := h.wireOf(f)
	if err != nil {
		return err
	}
	for more := f != asTheyCame; more; {
		if more, err = h.reachBack(w, f, seq+1); err != nil {
			h.leaveWire(f)
			return err
		}
	}
	c.cursor = w.feed.Begin(seq + 1)
	if oldest := w.feed.Oldest(); seq+1 < oldest && h.feed.Oldest() < oldest {
		c.past, c.cursor = true, h.feed.Begin(seq+1)
	}
	c.cursor = h.place(c.form(), c.cursor)
	return nil
}

// wireOf is form f's feed, made if there is none, for one client more.
func (h *Hub) wireOf(f form) (*wire, error) {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	w := h.wires[f].Load()
	if w == nil {
		// Each has offsets that none before it had: nobody takes one for another's.
		begin := (h.room.top/feed.Far + 2) * feed.Far
		own, err := feed.New(h.o.Backlog, begin, h.feed.Count())
		if err != nil {
			return nil, err
		}
		h.room.top = begin
		w = &wire{feed: own, floor: begin - feed.Far/2} // it grows downwards too
		h.wires[f].Store(w)
	}
	w.clients.Add(1)
	return w, nil
}

// leaveWire is one client of form f less.
func (h *Hub) leaveWire(f form) {
	w := h.wires[f].Load()
	if w.clients.Add(-1) == 0 && f != asTheyCame {
		w.left.Store(time.Now().UnixNano())
		first := h.loops[0]
		first.Do(func() { first.nextSweep.In(h.o.pace.formKept) })
	}
}

// reachBack encodes a step more of the past, and reports whether there is more
// to be had from message seq on. Nothing is dropped for it: what does not fit
// into the backlog is encoded for one client at a time (past.go).
func (h *Hub) reachBack(w *wire, f form, seq uint64) (more bool, err error) {
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	select {
	case <-h.stopped: // the feeds may be about to close
		return false, nil
	default:
	}
	oldest := w.feed.Oldest()
	from := max(seq, h.feed.Oldest())
	if from >= oldest {
		return false, nil
	}
	step := h.feed.WholeAt(max(h.feed.Begin(oldest)-pastStep, h.feed.Whole()))
	from = min(max(from, h.feed.Seq(step)+1), oldest-1)
	// No form is shorter than what it is made from.
	if !h.hasRoomFor(f, h.feed.Begin(oldest)-h.feed.Begin(from), int(oldest-from)) {
		return false, nil
	}
	var past encoded
	h.encodeKept(h.encoders[f], &past, from, oldest-1)
	if !h.hasRoomFor(f, int64(len(past.bytes)), len(past.ends)) {
		return false, nil
	}
	return w.feed.Prepend(past.bytes, past.ends)
}

// hasRoomFor says that so much more of one form fits into the backlog. The
// caller holds room.mu.
func (h *Hub) hasRoomFor(f form, bytes int64, messages int) bool {
	_, to := h.tooMuch(func(g form) feed.Growth {
		if g == f {
			return feed.Growth{Bytes: bytes, Messages: messages}
		}
		return feed.Growth{}
	})
	return to == nil
}

// sweep drops the feeds of forms that nobody has read for a while. The first
// loop calls it.
func (l *loop) sweep() {
	h := l.hub
	h.room.mu.Lock()
	defer h.room.mu.Unlock()
	for f := asTheyCame + 1; f < forms; f++ {
		w := h.wires[f].Load()
		if w == nil || w.clients.Load() > 0 {
			continue
		}
		if kept := h.o.pace.formKept - time.Since(time.Unix(0, w.left.Load())); kept > 0 {
			l.nextSweep.In(kept)
			continue
		}
		h.heard.keep(h, f)
		h.room.top = max(h.room.top, w.feed.Head())
		h.wires[f].Store(nil)
		h.room.encoded[f] = encoded{}
		if err := w.feed.Close(); err != nil {
			h.warnf("%v", err)
		}
	}
}
