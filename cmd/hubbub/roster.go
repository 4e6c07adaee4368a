//go:build unix

package main

import (
	"cmp"
	"slices"
	"sync"

	"hubbub.example"
	"hubbub.example/internal/jsonl"
)

// This file is what a program is told of clients as JSON lines, and who is there
// as far as it was told: a command's next process is told the same, as joins.
//
//	begin    a batch
//	append   one event of it, as a line
//	follow   so much of the batch was written
//	joins    who is there

// present is who is there for a program.
type present struct {
	mu    sync.Mutex
	known map[uint64]*jsonl.Event
	told  []told // not known to be written
}

// told is a join or leave, and where its line in the batch ends.
type told struct {
	event jsonl.Event
	end   int
}

func newPresent() *present { return &present{known: map[uint64]*jsonl.Event{}} }

func (p *present) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = p.told[:0]
}

// append appends e to the lines of the batch.
func (p *present) append(lines []byte, e hubbub.Event) []byte {
	line := eventLine(e)
	lines = jsonl.AppendEvent(lines, &line)
	if e.Kind == hubbub.Message {
		return lines
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, told{line, len(lines)})
	return lines
}

// follow takes up what was written: so many bytes of the batch's lines.
func (p *present) follow(written int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.told) > 0 && p.told[0].end <= written {
		if e := p.told[0].event; e.Type == hubbub.Join.String() {
			p.known[e.ID] = &e
		} else {
			delete(p.known, e.ID)
		}
		p.told = p.told[1:]
	}
}

// rename is a client that is called something else now.
func (p *present) rename(id uint64, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.known[id]; e != nil {
		e.Name = name
	}
	for i := range p.told {
		if e := &p.told[i].event; e.ID == id {
			e.Name = name
		}
	}
}

// joins is who is there, in the order in which they came.
func (p *present) joins() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*jsonl.Event, 0, len(p.known))
	for _, e := range p.known {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *jsonl.Event) int { return cmp.Compare(a.ID, b.ID) })
	var lines []byte
	for _, e := range all {
		lines = jsonl.AppendEvent(lines, e)
	}
	return lines
}
