//go:build unix

package main

import (
	"maps"
	"slices"
	"sync"

	"hubbub.example"
	"hubbub.example/internal/jsonl"
)

// This file writes events as JSON lines for a program, and keeps the roster: the
// clients that the program knows of. A command's next process gets the roster
// first, as joins.
//
//	begin    begins a batch
//	append   appends one event of it, as a line
//	wrote    takes up how much of the batch was written
//	joins    the roster as lines

// roster is the clients that a program knows of.
type roster struct {
	mu      sync.Mutex
	known   map[uint64]*jsonl.Event
	pending []presence // not known to be written
}

// presence is a join or leave, and where its line in the batch ends.
type presence struct {
	event jsonl.Event
	end   int
}

func newRoster() *roster { return &roster{known: map[uint64]*jsonl.Event{}} }

func (r *roster) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = r.pending[:0]
}

// append appends e to the lines of the batch.
func (r *roster) append(lines []byte, e hubbub.Event) []byte {
	line := eventLine(e)
	lines = jsonl.AppendEvent(lines, &line)
	if e.Kind == hubbub.Message {
		return lines
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, presence{line, len(lines)})
	return lines
}

// wrote updates the roster: that many bytes of the batch's lines were written.
func (r *roster) wrote(written int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.pending) > 0 && r.pending[0].end <= written {
		if e := r.pending[0].event; e.Type == hubbub.Join.String() {
			r.known[e.ID] = &e
		} else {
			delete(r.known, e.ID)
		}
		r.pending = r.pending[1:]
	}
}

// rename changes a client's name.
func (r *roster) rename(id uint64, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[id]; e != nil {
		e.Name = name
	}
	for i := range r.pending {
		if e := &r.pending[i].event; e.ID == id {
			e.Name = name
		}
	}
}

// joins returns a join for each client that is there, in the order they came.
func (r *roster) joins() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []byte
	for _, id := range slices.Sorted(maps.Keys(r.known)) {
		lines = jsonl.AppendEvent(lines, r.known[id])
	}
	return lines
}
